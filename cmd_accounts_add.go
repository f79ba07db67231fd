package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/config"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
)

func (a *app) accountsAddCommand() *cobra.Command {
	var f accountFlags
	cmd := &cobra.Command{
		Use:   "add PROVIDER",
		Short: "Add an account by its API key",
		Long: "Adds an account. The key is asked for at the terminal, or read from a file or from standard input; it is\n" +
			"sealed before it is stored and never shown again. A service that `patchbay providers presets` lists is written\n" +
			"into the settings first, and with --base-url one that Patchbay does not know at all.",
		Example: "  patchbay accounts add openai\n" +
			"  patchbay accounts add anthropic --name work --key-file key.txt\n" +
			"  patchbay accounts add deepseek                 a preset\n" +
			"  patchbay accounts add team --preset openrouter\n" +
			"  patchbay accounts add home --base-url http://192.168.1.5:1234/v1",
		Args: nArgs(1, 1, "a provider; `patchbay providers` lists them"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(svc api.Service) error { return a.addAccount(cmd.Context(), svc, args[0], f) })
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&f.yes, "yes", false, "you have read the provider's label and want to add the account all the same")
	cmd.Flags().BoolVar(&f.fromEnv, "from-env", false, "take the key from the service's usual environment variable")
	cmd.Flags().StringVar(&f.baseURL, "base-url", "", "where the service is")
	cmd.Flags().StringVar(&f.preset, "preset", "", "the service that a new provider is; `patchbay providers presets` lists them")
	cmd.Flags().StringVar(&f.kind, "kind", "", "what a new provider speaks: "+strings.Join(config.Kinds, ", ")+" (default openai)")
	return cmd
}

func (a *app) addAccount(ctx context.Context, svc api.Service, id string, f accountFlags) error {
	p, known, err := a.findProvider(ctx, svc, id)
	if err != nil {
		return err
	}
	if known && f.kind != "" && f.kind != p.Kind {
		return usagef("%s is there already and speaks %s; choose another id for a service of kind %s", p.ID, p.Kind, f.kind)
	}
	if known && f.preset != "" && f.preset != p.Preset {
		return usagef("%s is there already and is no %s; choose another id for it", p.ID, f.preset)
	}
	var added api.NewProvider
	if !known {
		if p, added, err = newProvider(ctx, svc, id, f); err != nil {
			return err
		}
	}
	if p.Risk != nil {
		fmt.Fprintf(a.err, "Note on %s (%s): %s\n", p.Name, p.Risk.Since, p.Risk.Text)
	}
	n := api.NewAccount{Provider: id, Name: f.name, Priority: f.priority, Tags: f.cleanTags(), Weight: f.weight}
	n.Settings = f.modelSettings()
	if n.Reserve, err = f.keep(); err != nil {
		return err
	}
	if n.Proxy, err = a.proxy(f); err != nil {
		return err
	}
	if n.Key, err = a.accountKey(p, known || added.Preset != "", f); err != nil {
		return err
	}
	if known {
		n.Provider = p.ID
		if f.baseURL != "" && f.baseURL != p.BaseURL {
			n.Settings[provider.SettingBaseURL] = f.baseURL
		}
	} else if _, err := svc.AddProvider(ctx, added); err != nil {
		return err
	}
	n.AcceptRisk = f.yes
	v, err := svc.AddAccount(ctx, n)
	if e, ok := errors.AsType[*apierror.Error](err); ok && e.Param == "accept_risk" {
		if f.keyStdin {
			return usagef("%s Whoever has read this adds --yes.", e.Msg)
		}
		if err := a.confirmRisk(e.Msg, bufio.NewReader(a.in)); err != nil {
			return err
		}
		n.AcceptRisk = true
		v, err = svc.AddAccount(ctx, n)
	}
	if err != nil {
		return err
	}
	return a.printAdded(ctx, svc, v)
}

// newProvider says what is to be written into the settings for an id that no provider has: a preset, by its flag or of that
// name, or a service of the person's own. The view tells what is known of it already.
func newProvider(ctx context.Context, svc api.Service, id string, f accountFlags) (api.ProviderView, api.NewProvider, error) {
	n := api.NewProvider{ID: id, BaseURL: f.baseURL}
	if f.preset == "" && f.kind != "" {
		if f.baseURL == "" {
			return api.ProviderView{}, n, usagef("say where the service is: --base-url URL")
		}
		n.Kind = f.kind
		return api.ProviderView{ID: id, Kind: f.kind}, n, nil
	}
	presets, err := svc.Presets(ctx)
	if err != nil {
		return api.ProviderView{}, n, err
	}
	want := orElse(f.preset, id)
	i := slices.IndexFunc(presets, func(p api.PresetView) bool { return strings.EqualFold(p.ID, want) })
	switch {
	case i < 0 && f.preset != "":
		return api.ProviderView{}, n, fmt.Errorf("there is no preset %q; `patchbay providers presets` lists them", f.preset)
	case i < 0 && f.baseURL == "":
		return api.ProviderView{}, n, fmt.Errorf("there is no provider %q; `patchbay providers` and `patchbay providers presets` list them.\nFor a service of your own say where it is: patchbay accounts add %[1]s --base-url URL --kind openai", id)
	case i < 0:
		n.Kind = "openai"
		return api.ProviderView{ID: id, Kind: n.Kind}, n, nil
	case f.kind != "":
		return api.ProviderView{}, n, usagef("the preset says what the service speaks: leave out --kind")
	}
	p := presets[i]
	switch {
	case !p.Usable:
		return api.ProviderView{}, n, fmt.Errorf("the preset %s is of kind %q, which this version of Patchbay does not serve", p.ID, p.Kind)
	case p.BaseURL == "" && f.baseURL == "":
		return api.ProviderView{}, n, usagef("%s needs your own address: --base-url %s", p.Name, p.Example)
	}
	n.Preset = p.ID
	return api.ProviderView{ID: id, Name: p.Name, Kind: p.Kind, KeyURL: p.KeyURL, KeyEnv: p.KeyEnv, NoKey: p.NoKey, Preset: p.ID}, n, nil
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// keyFromEnv takes the key from the first variable of those in which people keep keys of this service. It is done only when
// asked for: a variable may be there for another program.
func keyFromEnv(p api.ProviderView, f accountFlags) (secret.Value, error) {
	if f.keyFile != "" || f.keyStdin {
		return secret.Value{}, usagef("choose one: --from-env, --key-file or --key-stdin")
	}
	if len(p.KeyEnv) == 0 {
		return secret.Value{}, usagef("no variable is known that holds keys of %s; use --key-file or --key-stdin", orElse(p.Name, p.ID))
	}
	for _, name := range p.KeyEnv {
		if v := strings.TrimSpace(os.Getenv(name)); v != "" {
			return secret.New(v), nil
		}
	}
	return secret.Value{}, fmt.Errorf("none of these variables is set: %s", strings.Join(p.KeyEnv, ", "))
}

// accountKey reads the key. Local servers need none, so it is not asked for there, but taken where it is given.
func (a *app) accountKey(p api.ProviderView, known bool, f accountFlags) (secret.Value, error) {
	if f.fromEnv {
		return keyFromEnv(p, f)
	}
	given := f.keyFile != "" || f.keyStdin
	noKey := p.NoKey || f.kind == "ollama"
	if noKey && !given {
		return secret.Value{}, nil
	}
	question := "API key of " + orElse(p.Name, p.ID) + " (not shown): "
	if !known {
		question = "API key (not shown; empty if the service needs none): "
	} else if p.KeyURL != "" {
		question = "Keys are made at " + p.KeyURL + "\n" + question
	}
	return a.readSecret(f.keyFile, f.keyStdin, question, !known && !given)
}

// findProvider finds a provider by id or by the name it has in AIClient-2-API.
func (a *app) findProvider(ctx context.Context, svc api.Service, id string) (api.ProviderView, bool, error) {
	list, err := svc.Providers(ctx)
	if err != nil {
		return api.ProviderView{}, false, err
	}
	for _, want := range []string{id, strings.ToLower(id), config.OldNames[id]} {
		for _, p := range list {
			if p.ID == want {
				return p, true, nil
			}
		}
	}
	return api.ProviderView{}, false, nil
}

func (a *app) printAdded(ctx context.Context, svc api.Service, v api.AccountView) error {
	if a.json {
		return a.printJSON(v)
	}
	base := a.base(ctx, svc)
	next := "Start Patchbay with `patchbay serve`."
	if base != "" {
		next = "It is used from now on.\n\n" + baseURLs(base)
	}
	_, err := fmt.Fprintf(a.out, "Added the account %s (%s). %s\n", label(v), v.ID, strings.TrimRight(next, "\n"))
	return err
}
