package transfer

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"patchbay/backend/account"
	"patchbay/backend/apierror"
	"patchbay/backend/clientkey"
	"patchbay/backend/config"
	"patchbay/backend/secret"
	"patchbay/backend/store"
)

// Restore takes in what an export holds and is not here yet; with replace also what is here in another form. Everything is
// taken or left by itself, so that a second run goes on where a first one ended. An error means that nothing could be read
// or that the secrets are locked; the report is then of what had been done.
func Restore(ctx context.Context, o Owners, data []byte, passphrase secret.Value, replace bool) (Report, error) {
	b, err := decrypt(data, passphrase)
	if err != nil {
		return Report{}, err
	}
	r := Report{Made: b.Made, Program: b.Program}
	restoreSettings(o.Settings, b.Settings, replace, &r) // first: accounts may be of providers that stand there
	for _, d := range b.Accounts {
		if err := restoreAccount(ctx, o.Accounts, d, replace, &r); err != nil {
			return r, err
		}
	}
	for _, d := range b.Keys {
		if err := restoreKey(ctx, o.Keys, d, &r); err != nil {
			return r, err
		}
	}
	return r, nil
}

func restoreAccount(ctx context.Context, pools *account.Pools, d accountDoc, replace bool, r *Report) error {
	name := d.Provider + "/" + d.Name
	c := account.Carried{
		ID: d.ID, Provider: d.Provider, Name: d.Name, Priority: d.Priority, Enabled: d.Enabled, Settings: d.Settings, Notes: d.Notes,
		Proxy: d.Proxy, MaxConcurrent: d.MaxConcurrent, Created: d.Created, Login: d.Login, Secret: secret.New(string(d.Secret)),
		Tags: d.Tags, Weight: d.Weight, Reserve: d.Reserve,
	}
	_, err := pools.TakeIn(ctx, c, replace)
	switch there, ok := errors.AsType[*account.ThereError](err); {
	case err == nil:
		r.take(KindAccount, name, "")
	case ok:
		r.skip(KindAccount, name, there.Error())
	case errors.Is(err, secret.ErrLocked), errors.Is(err, secret.ErrLost), ctx.Err() != nil:
		return err
	default:
		r.skip(KindAccount, name, firstLine(err))
	}
	return nil
}

func restoreKey(ctx context.Context, keys *clientkey.Keys, d keyDoc, r *Report) error {
	limits := string(d.Limits)
	if limits == "" {
		limits = "{}"
	}
	err := keys.TakeIn(ctx, store.ClientKey{ID: d.ID, Name: d.Name, Hash: d.SHA256, Prefix: d.Prefix, Created: d.Created, Expires: d.Expires, Limits: limits})
	switch {
	case err == nil:
		r.take(KindKey, d.Name, "")
	case ctx.Err() != nil:
		return err
	default:
		r.skip(KindKey, d.Name, err.Error())
	}
	return nil
}

// restoreSettings takes settings that nobody has chosen otherwise here. A provider is taken whole or not at all.
func restoreSettings(s *config.Settings, values map[string]string, replace bool, r *Report) {
	groups := map[string]map[string]string{}
	for key, value := range values {
		g := key
		if parts := strings.SplitN(key, ".", 3); parts[0] == "providers" && len(parts) == 3 {
			g = "providers." + parts[1]
		}
		if groups[g] == nil {
			groups[g] = map[string]string{}
		}
		groups[g][key] = value
	}
	here := s.Chosen()
	// Providers first, for a chain or the default provider may name one.
	order := slices.SortedFunc(maps.Keys(groups), func(a, b string) int {
		pa, pb := strings.HasPrefix(a, "providers."), strings.HasPrefix(b, "providers.")
		if pa != pb {
			return map[bool]int{true: -1, false: 1}[pa]
		}
		return strings.Compare(a, b)
	})
	for _, g := range order {
		switch {
		case staysHere(g):
			r.skip(KindSetting, g, "it is about the other computer")
		case same(here, groups[g]):
			r.skip(KindSetting, g, "it is the same here")
		case !replace && chosen(here, g):
			r.skip(KindSetting, g, "it was set here already")
		default:
			if err := s.Adopt(groups[g]); err != nil {
				r.skip(KindSetting, g, firstLine(err))
				continue
			}
			r.take(KindSetting, g, "")
		}
	}
}

func same(here, values map[string]string) bool {
	for key, value := range values {
		if has, ok := here[key]; !ok || has != value {
			return false
		}
	}
	return true
}

// chosen reports whether the file here says anything of a setting or group.
func chosen(here map[string]string, group string) bool {
	for key := range here {
		if key == group || strings.HasPrefix(key, group+".") {
			return true
		}
	}
	return false
}

func firstLine(err error) string {
	if all := config.Errors(err); len(all) > 0 {
		return all[0].Key + ": " + all[0].Msg
	}
	if e, ok := errors.AsType[*apierror.Error](err); ok {
		return e.Msg
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
