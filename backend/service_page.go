package backend

import (
	"context"
	"embed"
	"net/http"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/clientkey"
	"patchbay/backend/page"
	"patchbay/backend/secret"
)

var (
	_ api.PageService     = (*Backend)(nil)
	_ api.PasswordService = (*Backend)(nil)
)

// page serves the files of the page, or says that there are none.
func (b *Backend) page() http.Handler {
	if b.o.Page == nil {
		return page.Handler(embed.FS{})
	}
	return page.Handler(b.o.Page)
}

// OpenPage implements api.PageService.
func (b *Backend) OpenPage(context.Context) (api.Ticket, error) {
	if b.Base() == "" {
		return api.Ticket{}, apierror.New(apierror.Unsupported, "Patchbay does not listen, so its page cannot be opened; patchbay doctor says why")
	}
	ticket, until := b.sessions.Ticket()
	return api.Ticket{URL: api.PageURL(b.Base(), ticket), Expires: until}, nil
}

// SetPagePassword implements api.PasswordService.
func (b *Backend) SetPagePassword(ctx context.Context, password secret.Value) error {
	return b.sessions.SetPassword(ctx, password)
}

// PlaygroundKey is the id under which requests of the page itself are recorded.
const PlaygroundKey = "playground"

const playgroundName = "Playground"

// OwnKeys are the names, by id, under which requests are recorded that Patchbay makes for the person itself, without a client
// key.
var OwnKeys = map[string]string{PlaygroundKey: playgroundName, TestKey: testName}

// pageKey lets the page call the model endpoints by its session: as a client key that no app has, so that the log and the
// usage say who asked.
func (b *Backend) pageKey(ctx context.Context, token string) (clientkey.Key, bool) {
	if _, ok := b.sessions.Check(ctx, token); !ok {
		return clientkey.Key{}, false
	}
	return clientkey.Key{ID: PlaygroundKey, Name: playgroundName}, true
}
