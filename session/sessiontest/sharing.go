package sessiontest

var sharing = []promise{}
