package transfer

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/account"
	"patchbay/backend/clientkey"
	"patchbay/backend/config"
	"patchbay/backend/secret"
)

// Owners are those who have what is carried.
type Owners struct {
	Accounts *account.Pools
	Keys     *clientkey.Keys
	Settings *config.Settings
	Version  string // of this program
}

// Kinds of Item.
const (
	KindAccount = "account"
	KindKey     = "client key"
	KindSetting = "setting"
)

// Item is one thing that was carried or left, with the reason or a note.
type Item struct {
	Kind, Name string
	Why        string
}

// Report says what became of everything.
type Report struct {
	Made    time.Time // when the export was made
	Program string    // by which version
	Taken   []Item
	Skipped []Item
}

func (r *Report) take(kind, name, note string) { r.Taken = append(r.Taken, Item{kind, name, note}) }
func (r *Report) skip(kind, name, why string)  { r.Skipped = append(r.Skipped, Item{kind, name, why}) }

// groups of settings that belong to one computer and mean nothing, or harm, on another one.
var ownGroups = []string{"schema_version", "server", "database", "log", "desktop", "updates"}

func staysHere(key string) bool {
	group, _, _ := strings.Cut(key, ".")
	return slices.Contains(ownGroups, group)
}

const renewsNote = "its login is renewed in use: go on with it on one computer only, or the service may end it"

// Export returns an encrypted file with the accounts and their logins, the hashes of the client keys, and the settings that
// are not about this computer. Nothing can be read of it without the passphrase.
func Export(ctx context.Context, o Owners, passphrase secret.Value) ([]byte, Report, error) {
	r := Report{Made: time.Now().UTC().Truncate(time.Second), Program: o.Version}
	if err := CheckPassphrase(passphrase); err != nil {
		return nil, r, err
	}
	b := bundle{Format: format, Version: version, Made: r.Made, Program: o.Version, Settings: map[string]string{}}
	carried, left, err := o.Accounts.Carry(ctx)
	if err != nil {
		return nil, r, err
	}
	for _, c := range carried {
		b.Accounts = append(b.Accounts, accountDoc{
			ID: c.ID, Provider: c.Provider, Name: c.Name, Priority: c.Priority, Enabled: c.Enabled, Settings: c.Settings, Notes: c.Notes,
			Proxy: c.Proxy, MaxConcurrent: c.MaxConcurrent, Created: c.Created, Login: c.Login, Secret: raw(c.Secret.Reveal()),
			Tags: c.Tags, Weight: c.Weight, Reserve: c.Reserve,
		})
		note := ""
		if c.Renews {
			note = renewsNote
		}
		r.take(KindAccount, c.Provider+"/"+c.Name, note)
	}
	for _, l := range left {
		r.skip(KindAccount, l.Provider+"/"+l.Name, l.Why)
	}
	keys, err := o.Keys.Carry(ctx)
	if err != nil {
		return nil, r, err
	}
	for _, k := range keys {
		b.Keys = append(b.Keys, keyDoc{k.ID, k.Name, k.Hash, k.Prefix, k.Created, k.Expires, raw(k.Limits)})
		r.take(KindKey, k.Name, "")
	}
	for key, value := range o.Settings.Chosen() {
		if staysHere(key) {
			r.skip(KindSetting, key, "it is about this computer")
			continue
		}
		b.Settings[key] = value
		r.take(KindSetting, key, "")
	}
	r.sort()
	data, err := encrypt(b, passphrase)
	if err != nil {
		return nil, r, fmt.Errorf("exporting: %w", err)
	}
	return data, r, nil
}

// raw is JSON that is written as it is; nothing is left out.
func raw(text string) jsontext.Value {
	if text == "" {
		return nil
	}
	return jsontext.Value(text)
}

// sort puts settings into the order of their names; the others come in an order of their own.
func (r *Report) sort() {
	for _, items := range [][]Item{r.Taken, r.Skipped} {
		slices.SortStableFunc(items, func(a, b Item) int {
			if a.Kind == KindSetting && b.Kind == KindSetting {
				return strings.Compare(a.Name, b.Name)
			}
			return 0
		})
	}
}
