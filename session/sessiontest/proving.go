package sessiontest

var proving = []promise{}
