package backend

import (
	"patchbay/backend/wire"
	"patchbay/backend/wire/anthropic"
	"patchbay/backend/wire/gemini"
	"patchbay/backend/wire/ollama"
	"patchbay/backend/wire/openai"
	"patchbay/backend/wire/responses"
)

// protocols are the wire formats that clients may speak. The first one words the errors of paths that belong to no
// format.
var protocols = []wire.Codec{
	openai.Codec{},
	anthropic.Codec{},
	gemini.Codec{},
	responses.Codec{},
	ollama.Codec{},
}
