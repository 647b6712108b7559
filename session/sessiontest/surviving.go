package sessiontest

var surviving = []promise{}
