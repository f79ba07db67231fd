// Package simulator holds upstream services that run inside the program: they
// speak the vendors' protocols, refuse what the vendors refuse in the vendors'
// own words, and misbehave on demand. `patchbay demo` shows the whole product
// against them and every end-to-end test is judged by them.
//
// The package shares no code with the codecs it judges: requests are read and
// answers written here with net/http and encoding/json alone. It owns no
// accounts, routes nothing and keeps nothing on disk.
//
// One [Server] hosts every simulated upstream. What it answers is decided per
// request, first hit first: the queue filled by [Server.Script], the scenario
// of the key, the model name (`sim-slow`, `gpt-4.1@slow`), a marker in the
// last user text (`[[slow:delay=50ms]]`), and else the request itself: a
// prompt that asks for the files gets a tool call, a tool result gets a
// sentence that quotes it, a schema gets a valid instance, and anything else
// an echo that lists what arrived. [Describe] names every scenario.
//
// A further protocol is one more type with the methods of dialect and one line
// in New: scenarios, delivery and records work for it at once.
package simulator
