package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"patchbay/backend/account"
	"patchbay/backend/apierror"
	"patchbay/backend/clientkey"
	"patchbay/backend/config"
	"patchbay/backend/preset"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
)

// Outcome is what became of an item of an import.
type Outcome string

// The outcomes.
const (
	Taken   Outcome = "taken"
	Updated Outcome = "updated"
	Skipped Outcome = "skipped"
)

// Further kinds of an ImportItem, besides those of Item.
const (
	kindFile     = "file"
	kindProvider = "provider"
	kindMember   = "account setting"
)

// ImportItem is one thing that was found.
type ImportItem struct {
	Outcome    Outcome
	Kind, Name string
	From       string // the file
	Note       string // why it was skipped, or what to mind
}

// ImportReport says what became of everything that was found.
type ImportReport struct {
	Items []ImportItem
	// NewKey is a client key that was made in place of one that is too easy to guess. It can be seen here only.
	NewKey secret.Value
	// Unmoved is how many logins were left only because nobody said that the other program uses them no more, and Unread how
	// many accounts because nobody confirmed the label of their provider.
	Unmoved, Unread int
}

// ImportOptions are what a person decides about an import.
type ImportOptions struct {
	DryRun bool // only say what would be done
	Moved  bool // the other program uses these logins no more, so that they may be renewed here
	Accept bool // the labels of the providers were read
}

// ImportKey is an API key with the provider or preset that it is for.
type ImportKey struct {
	Provider, From string
	Key            secret.Value
}

// Offer is a provider as an import sees it.
type Offer struct {
	Info   provider.Info
	Driver provider.Driver
}

// Host is what an import needs beside the owners.
type Host struct {
	Owners
	// Offers are the providers that there are.
	Offers  func() []Offer
	Presets func() *preset.Set
	// Admit turns a provider on that is off, if accept says that its label was read; else the error is the label. With try it
	// only answers.
	Admit func(id string, accept, try bool) error
	// AddProvider writes a provider into the settings.
	AddProvider func(ctx context.Context, id, preset, kind, base, name string) error
	CleanBase   func(base string) (string, error)
}

// Import takes what the files of other programs hold. Every item is taken or left by itself; an error means that nothing
// could be read or that the secrets are locked. Nothing of the other programs is changed.
func Import(ctx context.Context, h Host, files []ImportFile, keys []ImportKey, o ImportOptions) (ImportReport, error) {
	if len(files)+len(keys) == 0 {
		return ImportReport{}, apierror.Invalid("files", "there is no file to import")
	}
	files, err := expand(files)
	if err != nil {
		return ImportReport{}, err
	}
	var found []finding
	for _, f := range files {
		found = append(found, detect(f)...)
	}
	p := newPlan(found)
	for _, k := range keys {
		p.arrivals = append(p.arrivals, arrival{from: k.From, name: k.From, to: target{id: k.Provider}, key: k.Key, settings: map[string]string{}})
	}
	known, err := h.Accounts.Known(ctx)
	if err != nil {
		return ImportReport{}, err
	}
	t := &taker{ctx: ctx, host: h, o: o, plan: p, known: known, made: map[target]string{}, used: map[string][]string{}, names: map[string]string{}}
	return t.run()
}

// taker carries out a plan.
type taker struct {
	ctx   context.Context
	host  Host
	o     ImportOptions
	plan  *plan
	known *account.Known
	made  map[target]string   // providers that were made, or would be
	used  map[string][]string // names of providers there to those here
	links map[string][]string // steps of chains by provider, those of this import too; nil = not read yet
	names map[string]string   // of accounts that a dry run would make, by id
	r     ImportReport
}

func (t *taker) say(o Outcome, kind, name, from, note string) {
	t.r.Items = append(t.r.Items, ImportItem{Outcome: o, Kind: kind, Name: name, From: from, Note: note})
}

func (t *taker) run() (ImportReport, error) {
	for i := range t.plan.arrivals {
		if err := t.arrive(&t.plan.arrivals[i]); err != nil {
			return t.r, err
		}
	}
	if err := t.clientKeys(); err != nil {
		return t.r, err
	}
	t.routing()
	t.proxies()
	t.r.Items = append(t.r.Items, t.plan.said...)
	return t.r, nil
}

// fatal reports errors after which nothing else would work either.
func (t *taker) fatal(err error) bool {
	return errors.Is(err, secret.ErrLocked) || errors.Is(err, secret.ErrLost) || t.ctx.Err() != nil
}

// arrive takes one account.
func (t *taker) arrive(a *arrival) error {
	skip := func(format string, args ...any) error {
		t.say(Skipped, KindAccount, t.nameOf(a), a.from, fmt.Sprintf(format, args...))
		return nil
	}
	if a.impossible != "" {
		return skip("%s", a.impossible)
	}
	in := provider.FileLogin{Credential: provider.Credential{Access: a.key}}
	if a.login != nil {
		var err error
		if in, err = t.readLogin(a); err != nil {
			return skip("%s", err)
		}
	}
	cred := in.Credential
	if cred.Access.Empty() && cred.Refresh.Empty() && (a.login != nil || a.to.base == "") {
		return skip("it has no key")
	}
	id, err := t.providerFor(a)
	if err != nil {
		return skip("%s", firstLine(err))
	}
	a.to.id = id
	if a.old != "" && !slices.Contains(t.used[a.old], id) {
		t.used[a.old] = append(t.used[a.old], id)
	}
	at, same := t.find(a, cred)
	if st, ok := t.host.Accounts.Get(at); ok && st.Owner == account.CLI {
		a.name = st.Name
		return skip("it is there already, borrowed from its own program; `patchbay accounts adopt` makes it Patchbay's own")
	}
	if same {
		a.name = t.called(at)
		return skip("it is there already")
	}
	offer, _ := t.offer(id)
	if !cred.Refresh.Empty() && !offer.Info.Policy.RefreshBorrowed && !t.o.Moved {
		t.r.Unmoved++
		return skip("its login is renewed in use, and then the copy that the other program has is void: it can work in one program only")
	}
	if err := t.host.Admit(id, t.o.Accept, t.o.DryRun || at != ""); err != nil && at == "" {
		t.r.Unread++
		return skip("%s", firstLine(err))
	}
	if at != "" {
		return t.renew(a, at, in, cred)
	}
	return t.add(a, in, cred)
}

// find returns the account that an arrival is, "" for a new one; same says that nothing of its login is new.
func (t *taker) find(a *arrival, cred provider.Credential) (at string, same bool) {
	at, same = t.known.Find(a.to.id, cred)
	if at == "" && a.id != "" {
		if st, ok := t.host.Accounts.Get(a.id); ok && st.Provider == a.to.id {
			at = a.id
		}
	}
	return at, same || at != "" && cred.Access.Empty() && cred.Refresh.Empty()
}

// add makes a new account.
func (t *taker) add(a *arrival, in provider.FileLogin, cred provider.Credential) error {
	name := cmp.Or(a.name, cred.Extra[provider.ExtraEmail])
	note := t.noteOf(a, in, cred)
	if t.o.DryRun {
		id := cmp.Or(a.id, fmt.Sprintf("%s, number %d", t.nameOf(a), len(t.names)))
		t.known.Add(a.to.id, cred, id)
		_, t.names[id], _ = strings.Cut(t.nameOf(a), "/")
		a.taken = true
		t.say(Taken, KindAccount, t.nameOf(a), a.from, note)
		return nil
	}
	st, err := t.host.Accounts.Add(t.ctx, account.Account{
		ID: a.id, Provider: a.to.id, Name: name, Priority: a.priority, Enabled: !a.off, Settings: a.settings,
		Proxy: a.proxy.Reveal(), MaxConcurrent: a.concurrent, Weight: a.weight, Login: in.Login,
	}, cred)
	switch {
	case err != nil && t.fatal(err):
		return err
	case err != nil:
		t.say(Skipped, KindAccount, t.nameOf(a), a.from, firstLine(err))
		return nil
	}
	t.known.Add(a.to.id, cred, st.ID)
	a.taken = true
	t.say(Taken, KindAccount, st.Provider+"/"+st.Name, a.from, note)
	return nil
}

// renew gives an account that is there another key or a newer login. What a person decided about it stays.
func (t *taker) renew(a *arrival, id string, in provider.FileLogin, cred provider.Credential) error {
	st, ok := t.host.Accounts.Get(id)
	if !ok { // in a dry run: an earlier file of the same import
		t.say(Skipped, KindAccount, t.nameOf(a), a.from, "another file of this import has a login of the same person")
		return nil
	}
	name := st.Provider + "/" + st.Name
	usable := st.State != account.NeedsLogin && st.State != account.Blocked
	if a.login != nil && usable && !cred.Expiry.After(st.Expires) {
		t.say(Skipped, KindAccount, name, a.from, "the same person is signed in here already, and not with an older login")
		return nil
	}
	note := "it has the login of the file now"
	if a.login == nil {
		note = "it has the key of the file now"
	}
	if !t.o.DryRun {
		var err error
		if a.login == nil {
			err = t.host.Accounts.SetCredential(t.ctx, id, cred)
		} else {
			_, _, err = t.host.Accounts.SignIn(t.ctx, account.SignIn{
				Provider: st.Provider, Login: in.Login, Account: id, Settings: in.Settings, Credential: cred,
			})
		}
		if err != nil && t.fatal(err) {
			return err
		}
		if err != nil {
			t.say(Skipped, KindAccount, name, a.from, firstLine(err))
			return nil
		}
		t.known.Add(st.Provider, cred, id)
	}
	t.say(Updated, KindAccount, name, a.from, note)
	return nil
}

// noteOf says what a person should mind of an account that was taken.
func (t *taker) noteOf(a *arrival, in provider.FileLogin, cred provider.Credential) string {
	notes := slices.Clone(a.notes)
	if a.off {
		notes = append(notes, "it is disabled, as it was there")
	}
	offer, _ := t.offer(a.to.id)
	switch {
	case a.login == nil:
	case cred.Refresh.Empty() && !cred.Expiry.IsZero():
		notes = append(notes, "it cannot be renewed and ends "+cred.Expiry.UTC().Format(time.DateTime)+" UTC; sign in anew then")
	case !cred.Refresh.Empty() && !offer.Info.Policy.RefreshBorrowed:
		notes = append(notes, "stop the other program, or sign out there: the login works in one program only")
	}
	if in.Note != "" {
		notes = append(notes, in.Note)
	}
	return strings.Join(notes, "; ")
}

// nameOf is what an account is called before it is there.
func (t *taker) nameOf(a *arrival) string {
	name := cmp.Or(a.name, a.email, a.to.name)
	if name == "" && a.login != nil {
		name = strings.TrimSuffix(path.Base(a.from), path.Ext(a.from))
	}
	return cmp.Or(a.to.id, a.to.kind) + "/" + cmp.Or(name, a.to.id, a.to.kind)
}

func (t *taker) called(id string) string {
	if st, ok := t.host.Accounts.Get(id); ok {
		return st.Name
	}
	return cmp.Or(t.names[id], "another one of this import")
}

func (t *taker) offer(id string) (Offer, bool) {
	for _, o := range t.host.Offers() {
		if o.Info.ID == id {
			return o, true
		}
	}
	return Offer{}, false
}

// readLogin has the driver read a file. Its form knows the vendor's own files; what other programs make of them is brought
// into the vendor's form where the driver does not know it.
func (t *taker) readLogin(a *arrival) (in provider.FileLogin, err error) {
	o, ok := t.offer(a.to.id)
	if !ok {
		return in, fmt.Errorf("this version has no provider %s", a.to.id)
	}
	reader, ok := o.Driver.(provider.FileReader)
	if !ok {
		return in, fmt.Errorf("this version does not read logins of %s; sign in with `patchbay login %s`", o.Info.Name, o.Info.ID)
	}
	f := provider.File{
		Path: path.Base(a.login.Name), Data: slices.Clone(a.login.Data), Modified: a.login.Modified, Beside: t.beside(a.login.Name),
	}
	if in, err = reader.ReadFile(f); err != nil {
		why := errors.New(firstLine(err))
		if f.Data = vendorForm(o.Info.ID, a.login.doc); f.Data == nil {
			return in, why
		}
		if in, err = reader.ReadFile(f); err != nil {
			return in, why
		}
	}
	if in.Login == "" { // it cannot be renewed here
		in.Refresh = secret.Value{}
	}
	if over := !in.Expiry.IsZero() && time.Now().After(in.Expiry); in.Refresh.Empty() && (in.Access.Empty() || over) {
		return in, fmt.Errorf("its token has ended and cannot be renewed here; sign in with `patchbay login %s`", o.Info.ID)
	}
	fill(a, &in, o.Info)
	return in, nil
}

func (t *taker) beside(name string) func(string) ([]byte, error) {
	return func(other string) ([]byte, error) {
		if other == "" || strings.ContainsAny(other, `/\`) || other == ".." {
			return nil, fs.ErrInvalid
		}
		f, ok := t.plan.files[path.Join(path.Dir(name), other)]
		if !ok || f.Problem != "" {
			return nil, fs.ErrNotExist
		}
		return slices.Clone(f.Data), nil
	}
}

// fill adds what was noted beside a login, where the login itself does not say it.
func fill(a *arrival, in *provider.FileLogin, info provider.Info) {
	c := &in.Credential
	if c.Extra = maps.Clone(c.Extra); c.Extra == nil {
		c.Extra = map[string]string{}
	}
	if c.Extra[provider.ExtraEmail] == "" && a.email != "" {
		c.Extra[provider.ExtraEmail] = a.email
	}
	a.email = c.Extra[provider.ExtraEmail]
	settings := maps.Clone(in.Settings)
	if settings == nil {
		settings = map[string]string{}
	}
	has := func(key string) bool {
		return slices.ContainsFunc(info.Fields, func(f provider.Field) bool { return f.Key == key })
	}
	if base := a.settings[provider.SettingBaseURL]; base != "" {
		if has(provider.SettingBaseURL) {
			settings[provider.SettingBaseURL] = base
		} else {
			a.notes = append(a.notes, "the service's own address is used")
		}
	}
	for _, key := range []string{"project", "project_id"} {
		if a.more != "" && has(key) && settings[key] == "" {
			settings[key] = a.more
		}
	}
	a.settings, in.Settings = settings, settings
}

// clientKeys takes the keys of the other program's apps.
func (t *taker) clientKeys() error {
	for i, k := range t.plan.keys {
		name := "imported"
		if i > 0 {
			name = fmt.Sprintf("imported %d", i+1)
		}
		if err := clientkey.CheckGiven(k.text); err != nil || k.text.Reveal() == "123456" {
			if err := t.weakKey(name, k.from); err != nil {
				return err
			}
			continue
		}
		if t.o.DryRun {
			if _, there := t.host.Keys.Check(k.text.Reveal()); there {
				t.say(Skipped, KindKey, name, k.from, "this key is already there")
			} else {
				t.say(Taken, KindKey, name, k.from, "apps that use it go on working")
			}
			continue
		}
		_, _, err := t.host.Keys.Add(t.ctx, name, k.text, clientkey.Limits{})
		switch {
		case err == nil:
			t.say(Taken, KindKey, name, k.from, "apps that use it go on working")
		case t.fatal(err):
			return err
		default:
			t.say(Skipped, KindKey, name, k.from, firstLine(err))
		}
	}
	return nil
}

// weakKey makes a key in place of one that others could guess.
func (t *taker) weakKey(name, from string) error {
	const weak = "the key there is too short or too easy to guess"
	for _, k := range t.host.Keys.List() {
		if k.Name == name && k.Revoked.IsZero() {
			t.say(Skipped, KindKey, name, from, weak+"; the key of this name that is here stays")
			return nil
		}
	}
	if !t.r.NewKey.Empty() {
		t.say(Skipped, KindKey, name, from, weak)
		return nil
	}
	if t.o.DryRun {
		t.say(Skipped, KindKey, name, from, weak+"; a new one would be made")
		return nil
	}
	_, text, err := t.host.Keys.Add(t.ctx, name, secret.Value{}, clientkey.Limits{})
	if err != nil {
		return err
	}
	t.r.NewKey = text
	t.say(Skipped, KindKey, name, from, weak+"; a new one was made and must be entered in your apps")
	return nil
}

// here returns the providers that a name of another program stands for.
func (t *taker) here(old string) []string {
	if ids := t.used[old]; len(ids) > 0 {
		return ids
	}
	id := old
	if now, ok := config.OldNames[old]; ok {
		id = now
	}
	if _, ok := t.offer(id); ok {
		return []string{id}
	}
	return nil
}
