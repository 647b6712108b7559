package sessiontest

var closing = []promise{}
