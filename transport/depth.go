package transport

// depth returns how deep the arrays and objects of JSON text are nested, without recursion. It is exact for text that is JSON.
func depth(text []byte) (deepest int) {
	nested, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			nested++
			deepest = max(deepest, nested)
		case c == ']' || c == '}':
			nested--
		}
	}
	return deepest
}
