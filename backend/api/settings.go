package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"patchbay/backend/apierror"
)

// SettingsService is the part of Service that shows and changes the settings.
type SettingsService interface {
	// Settings lists every setting. Of providers it lists those of one, set or not, or for "" what is set.
	Settings(ctx context.Context, provider string) (SettingsView, error)
	// ChangeSettings sets settings by key, all or none; nil takes one out of the file, so that its default counts again.
	ChangeSettings(ctx context.Context, values map[string]any) (SettingsView, error)
}

// SettingsView is the settings in force.
type SettingsView struct {
	Path    string           `json:"path"` // of the file
	Problem *SettingsProblem `json:"problem,omitempty"`
	Items   []SettingView    `json:"items"`
}

// SettingsProblem says why the file is not in force. The last good settings are.
type SettingsProblem struct {
	Message string    `json:"message"`
	Key     string    `json:"key,omitempty"`
	Line    int       `json:"line,omitempty"`
	Excerpt string    `json:"excerpt,omitempty"` // the lines around it, with a mark
	Since   time.Time `json:"since"`
}

// SettingView is one setting. Durations are "90s" or "off", sizes "64MiB".
type SettingView struct {
	Key      string   `json:"key"`
	Section  string   `json:"section" oneof:"start,address,recording,limits,network,providers,routing,prompts,look,updates,backup"`
	Kind     string   `json:"kind" oneof:"text,switch,number,duration,size,list,map,lists"`
	About    string   `json:"about"`
	Unit     string   `json:"unit,omitempty"`
	Allowed  []string `json:"allowed,omitempty"` // the only values
	Value    any      `json:"value"`             // null = not set
	Default  any      `json:"default"`
	Source   string   `json:"source" oneof:"default,file,env,flag"`
	From     string   `json:"from,omitempty"`   // the variable or flag
	Line     int      `json:"line,omitempty"`   // in the file
	Locked   bool     `json:"locked,omitempty"` // a variable or flag holds it: it cannot be changed here
	Variable string   `json:"variable,omitempty"`
}

var settingsEndpoints = []endpoint{
	{
		pattern: "GET /api/settings", call: getSettings, gives: of[SettingsView](), about: "Every setting with its value, default and source",
		query: []param{{"provider", "string", "the settings of this provider, set or not"}},
	},
	{
		pattern: "PATCH /api/settings", call: changeSettings, takes: of[map[string]any](), gives: of[SettingsView](),
		about: "Sets settings by key, all or none; null takes one out of the file, so that its default counts again",
	},
}

func getSettings(svc Service, r *http.Request) (any, error) {
	return svc.Settings(r.Context(), r.FormValue("provider"))
}

func changeSettings(svc Service, r *http.Request) (any, error) {
	var values map[string]any
	if err := decode(r.Body, &values); err != nil {
		return nil, err
	}
	if len(values) == 0 {
		return nil, apierror.Invalid("", "name the settings that are to change")
	}
	return svc.ChangeSettings(r.Context(), values)
}

// Settings implements Service.
func (c *Client) Settings(ctx context.Context, provider string) (SettingsView, error) {
	q := url.Values{}
	set(q, "provider", provider)
	return get[SettingsView](ctx, c, "/api/settings", q)
}

// ChangeSettings implements Service.
func (c *Client) ChangeSettings(ctx context.Context, values map[string]any) (out SettingsView, err error) {
	err = c.do(ctx, http.MethodPatch, "/api/settings", values, &out)
	return out, err
}
