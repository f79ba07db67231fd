package secret

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
)

// record is the fact "vault" beside the rows: where their key is kept. Its id stands in the row mark.
type record struct {
	Version int    `json:"v"`
	Source  string `json:"source"`
	// Drop are keys that are not in use and shall be removed: those that a move has left behind, wherever it ended.
	Drop []place `json:"drop,omitzero"`
}

type place struct {
	Source string `json:"source"`
	Key    string `json:"kid"`
}

const recordName = "vault"

// record reads where the key is kept.
func (v *Vault) record(ctx context.Context) (record, error) {
	text, err := v.rows.Meta(ctx, recordName)
	if err != nil {
		return record{}, fmt.Errorf("reading the vault: %w", err)
	}
	if text == "" { // the first databases did not say it
		rec := record{Version: 1, Source: SourceFile}
		if env := v.source(SourceEnv); env != nil && !errors.Is(env.Usable(ctx), ErrUnusable) {
			rec.Source = SourceEnv
		}
		return rec, nil
	}
	var rec record
	if err := json.Unmarshal([]byte(text), &rec); err != nil || rec.Version != 1 {
		return record{}, fmt.Errorf("%w: the database says in an unknown way where their key is", ErrLocked)
	}
	return rec, nil
}

// note writes under which key the vault stands and where that is kept.
func (v *Vault) note(ctx context.Context, k *vaultKey, drop []place) error {
	if err := v.rows.WriteSecret(ctx, mark, k.seal(mark, "1")); err != nil {
		return err
	}
	return v.setRecord(ctx, record{Version: 1, Source: k.source.Name(), Drop: drop})
}

func (v *Vault) setRecord(ctx context.Context, rec record) error {
	b, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	return v.rows.SetMeta(ctx, recordName, string(b))
}

// Moved says what a Move did.
type Moved struct {
	From, To string
	Sealed   int   // secrets that are sealed under the new key now
	Left     int   // secrets sealed under a key that was lost before; they stay as they are
	Kept     error // why the old key could not be removed; it is tried again
}

// Place is a key source as people see it.
type Place struct {
	Name   string
	Usable error // why no key can be kept there
	Note   string
}

// Places returns where the key could be kept. Looking brings up no prompt: the place that is in use proves itself, and a
// keychain that is locked is not asked.
func (v *Vault) Places(ctx context.Context) []Place {
	used := v.opened()
	out := make([]Place, len(v.sources))
	for i, s := range v.sources {
		out[i] = Place{Name: s.Name(), Note: s.Note()}
		if used != nil && used.source.Name() == s.Name() {
			continue
		}
		if l, ok := s.(interface{ Look(context.Context) error }); ok {
			out[i].Usable = l.Look(ctx)
		} else {
			out[i].Usable = s.Usable(ctx)
		}
	}
	return out
}

// Count returns how many secrets there are, and how many of them are sealed under another key than the vault's.
func (v *Vault) Count(ctx context.Context) (all, other int, err error) {
	id, err := v.sealedUnder(ctx)
	if err != nil {
		return 0, 0, err
	}
	refs, err := v.rows.SecretRefs(ctx)
	if err != nil {
		return 0, 0, err
	}
	for _, ref := range refs {
		if ref == mark {
			continue
		}
		row, err := v.rows.ReadSecret(ctx, ref)
		if err != nil {
			return 0, 0, err
		}
		all++
		if row.KeyID != id {
			other++
		}
	}
	return all, other, nil
}

// ErrThere reports a Move to the place where the key is.
var ErrThere = errors.New("the key is there already")

// Move seals every secret under a new key that is kept in another place, and removes the old key.
//
// At every instant the database names a key that exists and opens all rows: the new key is in its place before the one
// transaction that seals the rows anew and names it, and the old one is removed after that. What a killed move leaves
// behind is noted before it comes into being, and removed by Tidy.
func (v *Vault) Move(ctx context.Context, to string) (Moved, error) {
	v.moving.Lock()
	defer v.moving.Unlock()
	old, err := v.open(ctx)
	if err != nil {
		return Moved{}, err
	}
	m := Moved{From: old.source.Name(), To: to}
	target := v.source(to)
	if target == nil {
		return m, fmt.Errorf("%w: there is no place %q", ErrUnusable, to)
	}
	rec, err := v.record(ctx)
	if err != nil {
		return m, err
	}
	if m.From == to && rec.Source == to {
		return m, ErrThere
	}
	if err := target.Usable(ctx); err != nil {
		return m, err
	}
	k, err := v.prepare(ctx, target, rec)
	if err != nil {
		return m, err
	}
	if m.Sealed, m.Left, err = v.reseal(ctx, k, rec); err != nil {
		return m, fmt.Errorf("sealing the secrets under the new key: %w", err)
	}
	v.use(k)
	m.Kept = v.tidy(ctx)
	return m, nil
}

// prepare puts a new key into its place, after noting that it must be removed again if nothing comes of it.
func (v *Vault) prepare(ctx context.Context, target KeySource, rec record) (*vaultKey, error) {
	key := randomKey()
	rec.Drop = append(slices.Clone(rec.Drop), place{target.Name(), keyID(key)})
	if err := v.setRecord(ctx, rec); err != nil {
		return nil, err
	}
	kept, err := target.Keep(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("keeping the new key: %w", err)
	}
	return newKey(kept, target)
}

// reseal is the one step that changes which key counts.
func (v *Vault) reseal(ctx context.Context, k *vaultKey, rec record) (sealed, left int, err error) {
	err = v.rows.Write(ctx, func(ctx context.Context) error {
		sealed, left = 0, 0
		now, err := v.settled(ctx)
		if err != nil {
			return err
		}
		refs, err := v.rows.SecretRefs(ctx)
		if err != nil {
			return err
		}
		for _, ref := range refs {
			if ref == mark {
				continue
			}
			text, err := v.unseal(ctx, now, ref)
			if errors.Is(err, ErrLost) {
				left++
				continue
			}
			if err != nil {
				return err
			}
			if err := v.rows.WriteSecret(ctx, ref, k.seal(ref, text)); err != nil {
				return err
			}
			sealed++
		}
		drop := append(slices.Clone(rec.Drop), place{rec.Source, now.id})
		return v.note(ctx, k, slices.DeleteFunc(drop, func(p place) bool { return p == place{k.source.Name(), k.id} }))
	})
	return sealed, left, err
}

// Tidy removes keys that a move has left behind.
func (v *Vault) Tidy(ctx context.Context) error {
	v.moving.Lock()
	defer v.moving.Unlock()
	return v.tidy(ctx)
}

func (v *Vault) tidy(ctx context.Context) error {
	rec, err := v.record(ctx)
	if err != nil || len(rec.Drop) == 0 {
		return err
	}
	id, err := v.sealedUnder(ctx)
	if err != nil {
		return err
	}
	var kept []place
	var errs []error
	for _, p := range rec.Drop {
		source := v.source(p.Source)
		if source == nil || p.Key == id && p.Source == rec.Source {
			continue
		}
		if err := source.Drop(ctx, p.Key); err != nil {
			kept, errs = append(kept, p), append(errs, err)
		}
	}
	if len(kept) < len(rec.Drop) {
		rec.Drop = kept
		errs = append(errs, v.setRecord(ctx, rec))
	}
	return errors.Join(errs...)
}
