package config

import "strings"

// Sections of the settings page.
const (
	SectionStart     = "start"
	SectionAddress   = "address"
	SectionRecording = "recording"
	SectionLimits    = "limits"
	SectionNetwork   = "network"
	SectionProviders = "providers"
	SectionRouting   = "routing"
	SectionPrompts   = "prompts"
	SectionBackup    = "backup"
	SectionLook      = "look"
	SectionUpdates   = "updates"
)

// sections are by the beginning of the key, the longest first.
var sections = []struct{ prefix, section string }{
	{"server.limits", SectionLimits}, {"server.trusted_proxies", SectionNetwork}, {"server", SectionAddress},
	{"providers", SectionProviders}, {"routing", SectionRouting}, {"prompts", SectionPrompts}, {"timeouts", SectionLimits},
	{"media", SectionNetwork}, {"network", SectionNetwork}, {"database", SectionBackup}, {"desktop", SectionLook}, {"updates", SectionUpdates}, {"record", SectionRecording}, {"prices", SectionRecording}, {"log", SectionRecording},
}

func sectionOf(path []string) string {
	key := strings.Join(path, ".")
	for _, s := range sections {
		if key == s.prefix || strings.HasPrefix(key, s.prefix+".") {
			return s.section
		}
	}
	return SectionStart
}

var levels = []string{"debug", "info", "warn", "error"}

// notes say of every setting what it is for, in the words of people; * stands for a name that people choose. A test holds
// the list against the schema.
var notes = map[string]note{
	"default_provider":               {about: "The provider for requests that name none. Without one a request goes to the provider that lists its model"},
	"database":                       {about: "Where accounts and records are kept: empty for the file on this computer, or postgres://... for several machines"},
	"server.listen":                  {about: "The address and port that apps call", unit: "address:port"},
	"server.lan":                     {about: "Lets other machines on the network call Patchbay, with a client key. Off, only this computer can"},
	"server.allowed_hosts":           {about: "Further names under which browsers may reach Patchbay, besides localhost"},
	"server.allowed_origins":         {about: "Web pages that may call the model endpoints, besides those on this computer"},
	"server.trusted_proxies":         {about: "Addresses or networks of proxies in front of Patchbay whose forwarding headers count"},
	"server.limits.body_bytes":       {about: "The largest request, after unpacking"},
	"server.limits.header_timeout":   {about: "How long an app may take to send the head of a request"},
	"server.limits.read_timeout":     {about: "How long an app may take to send a whole request"},
	"server.ollama_listener.enabled": {about: "Answers at Ollama's own address too, for apps that look nowhere else. A real Ollama must not run then"},
	"server.ollama_listener.listen":  {about: "That address", unit: "address:port"},
	"server.ollama_listener.no_key":  {about: "Programs on this computer need no client key at that address"},

	"providers.*.enabled":              {about: "Whether the provider is used"},
	"providers.*.preset":               {about: "The known service that this provider is"},
	"providers.*.kind":                 {about: "What the service speaks", allowed: Kinds},
	"providers.*.name":                 {about: "The name that people see"},
	"providers.*.base_url":             {about: "The address of the service, instead of its own"},
	"providers.*.login_url":            {about: "The address of its sign-in pages, instead of its own"},
	"providers.*.auth_header":          {about: "The header that carries the key"},
	"providers.*.auth_prefix":          {about: "What stands before the key in that header"},
	"providers.*.headers":              {about: "Further headers of every call; they are not kept secret"},
	"providers.*.proxy":                {about: "The proxy for all calls to this service: an address, system or direct. Empty: the one of all providers"},
	"providers.*.models":               {about: "A fixed list of models instead of the one that the service gives"},
	"providers.*.extra_models":         {about: "Models beside those that the service lists"},
	"providers.*.aliases":              {about: "Other names of its models"},
	"providers.*.quirks":               {about: "Known oddities of the service"},
	"providers.*.priority":             {about: "Which provider comes first where several list a model; small comes first"},
	"providers.*.limits.concurrent":    {about: "Calls at a time per account; 0 leaves the provider's own limit"},
	"providers.*.timeouts.first_event": {about: "How long to wait for the first word, instead of the limit for all"},
	"providers.*.timeouts.one_piece":   {about: "How long to wait for an answer that is no stream, instead of the limit for all"},
	"providers.*.timeouts.idle":        {about: "How long an answer may be silent, instead of the limit for all"},
	"providers.*.timeouts.total":       {about: "How long a whole answer may take, instead of the limit for all"},
	"providers.*.thinking.default":     {about: "How much to think where a request does not say: a level or a number of tokens"},
	"providers.*.thinking.max":         {about: "How much to think at most: a level or a number of tokens"},

	"routing.aliases":        {about: "Other names for models: a name, or a beginning with *, and the model or provider/model that it stands for"},
	"routing.chains":         {about: "What is tried when a provider has no usable account: provider or provider/model, in order"},
	"routing.model_fallback": {about: "What stands in for a model when nobody can answer it: provider/model, after the chains"},
	"routing.hidden":         {about: "Models that no list shows"},
	"routing.max_attempts":   {about: "How often a request is tried at most, over all accounts"},

	"prompts.*.mode":           {about: "Whether the text replaces the app's own, or stands after or before it", allowed: []string{"override", "append", "prepend"}},
	"prompts.*.text":           {about: "The text"},
	"prompts.*.file":           {about: "A file that holds the text; it is read again when it changes"},
	"prompts.*.providers":      {about: "The providers for which the rule holds; none means all"},
	"prompts.*.keys":           {about: "The client keys for which it holds; none means all"},
	"prompts.*.replace":        {about: "Texts that are replaced by others"},
	"prompts.*.replace_regexp": {about: "Regular expressions whose finds are replaced"},
	"prompts.*.order":          {about: "Its place among the rules that reach as far: the lowest first, then by name"},

	"timeouts.connect":     {about: "How long to wait for a connection to a service"},
	"timeouts.first_event": {about: "How long to wait for the first word of an answer"},
	"timeouts.one_piece":   {about: "How long to wait for an answer that an app wants in one piece, not as a stream"},
	"timeouts.idle":        {about: "How long an answer may be silent in between"},
	"timeouts.total":       {about: "How long a whole answer may take"},
	"timeouts.keep_alive":  {about: "After which silence an app gets a sign of life"},

	"media.allowed_hosts":      {about: "Hosts on this computer or its network from which pictures and documents may be fetched for requests"},
	"credential_files.enabled": {about: "Looks for logins that other programs keep on this computer. None is used before you say so"},
	"credential_files.paths":   {about: "Further files to look at, by provider"},

	"record.retention.days": {about: "How long rows of the request log are kept; 0 for ever", unit: "days"},
	"record.retention.rows": {about: "How many rows of the request log are kept; 0 for any number", unit: "rows"},

	"log.level":     {about: "How much is logged", allowed: levels},
	"log.packages":  {about: "How much single parts of Patchbay log"},
	"log.max_size":  {about: "The largest log file"},
	"log.max_files": {about: "How many log files are kept", unit: "files"},

	"providers.*.pool.strategy":     {about: "Which account answers next"},
	"providers.*.pool.sticky":       {about: "Whether a conversation stays with its account"},
	"providers.*.pool.sticky_for":   {about: "How long it stays after its last request"},
	"providers.*.pool.reserve":      {about: "How much of each allowance is left alone", unit: "percent"},
	"providers.*.pool.tags":         {about: "Only accounts with one of these tags are used; none means all"},
	"providers.*.pool.checks.every": {about: "How often accounts are looked at by free calls; off means never"},

	"record.retention.usage_days": {about: "How long the usage counters are kept; 0 for ever", unit: "days"},
	"record.bodies.enabled":       {about: "Keeps the bodies of all requests and answers, with secrets taken out"},
	"record.bodies.keys":          {about: "Keeps the bodies of these client keys"},
	"record.bodies.providers":     {about: "Keeps the bodies of what these providers serve"},
	"record.bodies.max_body":      {about: "How much of each body is kept"},
	"record.bodies.max_disk":      {about: "How much all bodies may take together"},
	"record.bodies.days":          {about: "How long bodies are kept; 0 for ever", unit: "days"},
	"record.prompt_log.to":        {about: "Where prompts and answers are written as text", allowed: []string{"off", "console", "file"}},
	"record.prompt_log.max_size":  {about: "The largest file of prompts"},
	"record.prompt_log.max_files": {about: "How many such files are kept", unit: "files"},
	"record.prompt_log.days":      {about: "How long full files are kept; 0 for ever", unit: "days"},
	"network.proxy":               {about: "The proxy for all calls to services: an address, system (as the computer is set) or direct"},

	"desktop.language":                {about: "The language of Patchbay; empty: the one of the system", allowed: []string{"", "en", "zh-CN", "ja"}},
	"desktop.theme":                   {about: "Light or dark; empty: as the system", allowed: []string{"", "light", "dark"}},
	"desktop.notifications.sign_in":   {about: "Tells when an account needs a new sign-in"},
	"desktop.notifications.exhausted": {about: "Tells when nobody can answer any more"},
	"desktop.notifications.port":      {about: "Tells when the port has changed or is taken"},
	"desktop.notifications.update":    {about: "Tells when there is a newer version"},
	"updates.check":                   {about: "Looks for a newer version once a day"},
	"updates.url":                     {about: "A mirror of the list of releases, instead of the publisher's own"},
}
