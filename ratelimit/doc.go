// Package ratelimit bounds what each client of a server may ask for: [Limiter] how much in a time, [Streams] how many streams at once. It
// tells clients what they have left by the fields RateLimit-Policy and RateLimit of draft-ietf-httpapi-ratelimit-headers-10.
//
// What a request costs is the server's to say. [Clients] knows whose it is, and may be the only part that a server sets up:
//
//	limits := ratelimit.Clients{Limiter: ratelimit.New(ratelimit.Options{PerMinute: 600})}
//	http.Handle("/", limits.Handler(limits.Charge(api, 1, refuse)))
package ratelimit
