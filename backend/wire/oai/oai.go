// Package oai is what the two formats of OpenAI's, Chat and Responses, have in common: error bodies in both directions,
// what is known of OpenAI's models, the model list, ids of calls, custom tools that go out as functions, token counts, and
// a walk over JSON where it lies. It does no I/O, keeps nothing and knows no format of its own.
package oai
