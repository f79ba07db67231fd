package backend

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/doctor"
	"patchbay/backend/events"
	"patchbay/backend/secret"
)

// vaultPause is how long a vault that does not open is left before it is looked at again. A use looks at once.
const vaultPause = 30 * time.Second

// vaultHeadStart is how long the first look at the vault may take before requests are answered without it.
const vaultHeadStart = 200 * time.Millisecond

// watchVault opens the vault beside everything else, so that a keychain which waits for its password holds nothing up, and
// tries again until it is open. looked is closed after the first look.
func (b *Backend) watchVault(ctx context.Context, looked chan<- struct{}) error {
	t := time.NewTicker(vaultPause)
	defer t.Stop()
	var seen secret.State
	first := sync.OnceFunc(func() { close(looked) })
	defer first()
	for {
		now := b.vault.Status(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if now.State != seen {
			b.vaultChanged(ctx, now, seen == "")
			seen = now.State
		}
		first()
		select {
		case <-t.C:
		case <-b.look:
		case <-ctx.Done():
			return nil
		}
	}
}

// vaultChanged tells everybody how the vault stands now.
func (b *Backend) vaultChanged(ctx context.Context, s secret.Status, first bool) {
	log := b.log.For("secret")
	if s.State != secret.Locked {
		b.accounts.CheckLogins(ctx)
	}
	if s.State == secret.OK {
		if err := b.vault.Tidy(ctx); err != nil {
			log.Warn("A key that is not in use any more cannot be removed", "err", err)
		}
		if first {
			return // as it should be
		}
		log.Info("The vault is open", "source", s.Source)
	} else {
		log.Error("The vault does not open; what needs no secret goes on", "status", string(s.State), "source", s.Source, "err", s.Note)
	}
	b.bus.Publish(events.Notice, "vault", vaultWords(s))
}

// vaultReason says in a health report why secrets cannot be used; it does no work.
func (b *Backend) vaultReason() string {
	s := b.vault.Last()
	if s.State == "" || s.State == secret.OK {
		return ""
	}
	return vaultWords(s)
}

func vaultWords(s secret.Status) string {
	switch s.State {
	case secret.Locked:
		return "the secrets are locked; `patchbay doctor` says how to open them"
	case secret.Lost:
		return "the key that opens the secrets is missing or wrong; `patchbay doctor` says what to do"
	}
	return "the secrets are open"
}

// lookAtVault has watchVault look now.
func (b *Backend) lookAtVault() {
	select {
	case b.look <- struct{}{}:
	default: // it is told already
	}
}

// vaultFacts are the vault's part of the doctor's facts.
func (b *Backend) vaultFacts(ctx context.Context) doctor.Vault {
	s := b.vault.Status(ctx)
	v := doctor.Vault{State: string(s.State), Source: s.Source}
	if v.Source == doctor.VaultFile {
		v.Path = filepath.Join(b.o.Paths.Data, "vault.key")
	}
	if s.State != secret.OK {
		v.Err = errors.New(s.Note)
	}
	return v
}

// Vault implements api.Service.
func (b *Backend) Vault(ctx context.Context) (api.VaultView, error) {
	s := b.vault.Status(ctx)
	facts := b.vaultFacts(ctx)
	view := api.VaultView{State: facts.State, Source: facts.Source, Where: doctor.VaultSource(facts), Note: s.Note}
	if f := doctor.VaultFinding(facts); f.Level != doctor.OK {
		view.Fix = f.Fix
	}
	var err error
	if view.Secrets, view.OtherKey, err = b.vault.Count(ctx); err != nil {
		return api.VaultView{}, explain(err)
	}
	for _, p := range b.vault.Places(ctx) {
		place := api.VaultPlace{Name: p.Name, Usable: p.Usable == nil, Note: p.Note}
		if p.Usable != nil {
			place.Note = p.Usable.Error()
		}
		view.Places = append(view.Places, place)
	}
	return view, nil
}

// UnlockVault implements api.Service.
func (b *Backend) UnlockVault(ctx context.Context) (api.VaultView, error) {
	b.vault.Retry()
	b.awaitPrompt(ctx)
	v, err := b.Vault(ctx)
	b.lookAtVault()
	return v, err
}

// promptTime is how long a person may take to type a password before the caller is told that it is still wanted. It is below
// the time that a management call may take; the keychain goes on waiting after it.
const promptTime = 20 * time.Second

// awaitPrompt waits while the keychain shows its prompt.
func (b *Backend) awaitPrompt(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, promptTime)
	defer cancel()
	again := time.NewTicker(500 * time.Millisecond)
	defer again.Stop()
	for b.vault.Status(ctx).Waiting {
		select {
		case <-again.C:
		case <-ctx.Done():
			return
		}
	}
}

// MoveVault implements api.Service.
func (b *Backend) MoveVault(ctx context.Context, to string) (api.VaultMoved, error) {
	// A move that has begun is brought to its end although the caller may go away: it is safe at every point, but the
	// person asked for all of it.
	m, err := b.vault.Move(context.WithoutCancel(ctx), to)
	switch {
	case errors.Is(err, secret.ErrThere):
		return api.VaultMoved{}, apierror.Invalid("to", "the key is in %s already", doctor.VaultSource(b.vaultFacts(ctx)))
	case errors.Is(err, secret.ErrUnusable):
		e := apierror.Invalid("to", "the key cannot be kept there: %s", err.Error())
		e.Err = err
		return api.VaultMoved{}, e
	case err != nil:
		return api.VaultMoved{}, explain(err)
	}
	out := api.VaultMoved{From: m.From, To: m.To, Sealed: m.Sealed, Left: m.Left}
	if m.Kept != nil {
		out.Note = "The old key could not be removed: " + m.Kept.Error() + ". Patchbay tries again at its next start."
	}
	b.log.For("secret").Info("The key of the vault was moved", "from", m.From, "to", m.To, "secrets", m.Sealed)
	b.bus.Publish(events.Notice, "vault", vaultWords(b.vault.Status(ctx)))
	return out, nil
}

// RenewVault implements api.Service.
func (b *Backend) RenewVault(ctx context.Context) (api.VaultView, error) {
	if s := b.vault.Status(ctx); s.State != secret.Lost {
		return api.VaultView{}, apierror.Invalid("", "the key is not lost: %s", vaultWords(s))
	}
	if err := b.vault.Renew(ctx); err != nil {
		return api.VaultView{}, explain(err)
	}
	b.log.For("secret").Warn("The vault was begun anew; secrets sealed under the old key stay closed")
	b.lookAtVault()
	return b.Vault(ctx)
}
