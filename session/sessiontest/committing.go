package sessiontest

var committing = []promise{}
