package anthropiccompat

import (
	"strconv"
	"strings"

	"patchbay/backend/wire/anthropic"
)

// switches are quirks that a service has or has not.
var switches = map[string]func(*anthropic.Options){
	"own_host":              func(o *anthropic.Options) { o.OwnHost = true },
	"convert":               func(o *anthropic.Options) { o.ForceConvert = true },
	"no_forced_stream":      func(o *anthropic.Options) { o.AlwaysStream = false },
	"no_system_role":        func(o *anthropic.Options) { o.NoSystemRole = true },
	"no_output_config":      func(o *anthropic.Options) { o.NoOutputConfig = true },
	"no_context_management": func(o *anthropic.Options) { o.NoContextManagement = true },
	"no_typed_tools":        func(o *anthropic.Options) { o.NoTypedTools = true },
	"no_cache_control":      func(o *anthropic.Options) { o.NoCacheControl = true },
	"no_signature_check":    func(o *anthropic.Options) { o.NoSignatureCheck = true },
}

// KnowsQuirk reports whether there is such a quirk.
func KnowsQuirk(quirk string) bool { return applyQuirk(&anthropic.Options{}, quirk) }

// applyQuirk sets what a quirk means. It reports whether there is such a quirk.
func applyQuirk(o *anthropic.Options, quirk string) bool {
	if set := switches[quirk]; set != nil {
		set(o)
		return true
	}
	name, v, _ := strings.Cut(quirk, "=")
	switch name {
	case "max_tokens":
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n <= 0 {
			return false
		}
		o.DefaultMaxTokens = n
	case "deny_beta":
		if v == "" {
			return false
		}
		o.DenyBetas = append(o.DenyBetas, v)
	case "family":
		if v == "" {
			return false
		}
		o.Family = v
	default:
		return false
	}
	return true
}
