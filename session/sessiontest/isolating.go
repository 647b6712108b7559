package sessiontest

var isolating = []promise{}
