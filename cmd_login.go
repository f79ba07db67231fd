package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/secret"
)

// loginFlags are the flags of a sign-in.
type loginFlags struct {
	device, paste, noBrowser, yes bool
	login, account, name          string
	set                           map[string]string
	proxyFile                     string
}

func (f *loginFlags) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.device, "device", false, "sign in by a code that you type on the service's page, on any machine")
	cmd.Flags().BoolVar(&f.paste, "paste", false, "the browser is on another machine: paste what it ends on")
	cmd.Flags().BoolVar(&f.noBrowser, "no-browser", false, "only show the address, open nothing")
	cmd.Flags().BoolVar(&f.yes, "yes", false, "you have read the provider's label and want to sign in all the same")
	cmd.Flags().StringVar(&f.login, "login", "", "which of the provider's sign-ins, by its `id`")
	cmd.Flags().StringToStringVar(&f.set, "set", nil, "answer what the sign-in asks for: `name=value`")
}

func (a *app) loginCommand() *cobra.Command {
	var f loginFlags
	cmd := &cobra.Command{
		Use:   "login PROVIDER",
		Short: "Sign in to a provider with your own account",
		Long: "Signs in on the provider's own page, in the browser of this machine or of another one. The login is sealed before it\n" +
			"is stored, and Patchbay renews it from then on. Who signs in again updates the account that is there.",
		Example: "  patchbay login codex                       the browser opens\n" +
			"  patchbay login codex --device              type a code on any machine\n" +
			"  patchbay login gemini-cli --paste          the browser is on another machine\n" +
			"  patchbay login codex --account work        that account signs in again",
		Args: nArgs(1, 1, "a provider; `patchbay providers` lists them"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(svc api.Service) error { return a.loginTo(cmd.Context(), svc, args[0], f) })
		},
	}
	f.register(cmd)
	cmd.Flags().StringVar(&f.account, "account", "", "the `account` that signs in again: its id or name")
	cmd.Flags().StringVar(&f.name, "name", "", "what to call a new account (default: its e-mail)")
	cmd.Flags().StringVar(&f.proxyFile, "proxy-file", "", "read the URL of a proxy for a new account from this `file`; the sign-in goes through it too")
	return cmd
}

func (a *app) loginTo(ctx context.Context, svc api.Service, id string, f loginFlags) error {
	p, known, err := a.findProvider(ctx, svc, id)
	if err != nil {
		return err
	}
	if !known {
		return fmt.Errorf("there is no provider %q; `patchbay providers` lists them", id)
	}
	n := api.NewLogin{Provider: p.ID, Name: f.name}
	if f.account != "" {
		v, err := findAccount(ctx, svc, f.account)
		if err != nil {
			return err
		}
		if v.Provider != p.ID {
			return usagef("the account %s belongs to %s", label(v), v.Provider)
		}
		n.Account = v.ID
	}
	if n.Proxy, err = a.proxy(accountFlags{proxyFile: f.proxyFile}); err != nil {
		return err
	}
	return a.signIn(ctx, svc, p, n, f)
}

// signIn starts a sign-in and sees it through.
func (a *app) signIn(ctx context.Context, svc api.Service, p api.ProviderView, n api.NewLogin, f loginFlags) error {
	n.Login, n.AcceptRisk, n.Fields = f.login, f.yes, maps.Clone(f.set)
	switch {
	case f.device && f.paste:
		return usagef("choose one: --device or --paste")
	case f.device:
		n.Mode = "device"
	case f.paste:
		n.Mode = "paste"
	}
	in := bufio.NewReader(a.in)
	if err := a.askFields(p, &n, in); err != nil {
		return err
	}
	v, err := svc.StartLogin(ctx, n)
	if e, ok := errors.AsType[*apierror.Error](err); ok && e.Param == "accept_risk" {
		if err := a.confirmRisk(e.Msg, in); err != nil {
			return err
		}
		n.AcceptRisk = true
		v, err = svc.StartLogin(ctx, n)
	}
	if err != nil {
		return err
	}
	a.showLogin(p, v, f)
	v, err = a.follow(ctx, svc, v, in)
	if err != nil {
		return err
	}
	return a.loginEnded(ctx, svc, v)
}

// confirmRisk shows a provider's label and wants a deliberate yes.
func (a *app) confirmRisk(label string, in *bufio.Reader) error {
	fmt.Fprintf(a.err, "Before you sign in:\n\n  %s\n\nGo on? Type yes: ", clean(label))
	line, err := in.ReadString('\n')
	if strings.EqualFold(strings.TrimSpace(line), "yes") {
		return nil
	}
	if errors.Is(err, io.EOF) && strings.TrimSpace(line) == "" {
		fmt.Fprintln(a.err)
		return usagef("nobody is there to answer; who has read the label adds --yes")
	}
	return errors.New("nothing was changed")
}

// askFields asks for what the chosen sign-in needs and the command line did not say.
func (a *app) askFields(p api.ProviderView, n *api.NewLogin, in *bufio.Reader) error {
	i := slices.IndexFunc(p.Logins, func(l api.LoginOption) bool {
		return l.Kind != "key" && l.Kind != "file" && (n.Login == "" || n.Login == l.ID) && (n.Mode == "" || (n.Mode == "device") == (l.Kind == "device"))
	})
	if i < 0 || n.Account != "" {
		return nil // the service says what is wrong, or knows the answers
	}
	for _, field := range p.Logins[i].Fields {
		if !field.Required || n.Fields[field.Key] != "" || field.Default != "" {
			continue
		}
		question := orElse(field.Label, field.Key)
		if len(field.Options) > 0 {
			question += " (" + strings.Join(field.Options, ", ") + ")"
		}
		fmt.Fprint(a.err, question+": ")
		line, err := in.ReadString('\n')
		line = strings.TrimSpace(line)
		if line == "" {
			fmt.Fprintln(a.err)
			return errors.Join(usagef("this sign-in needs %s: --set %s=...", orElse(field.Label, field.Key), field.Key), notEnd(err))
		}
		if n.Fields == nil {
			n.Fields = map[string]string{}
		}
		n.Fields[field.Key] = line
	}
	return nil
}

func notEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// showLogin tells what to do, on the error stream: the output is for the outcome.
func (a *app) showLogin(p api.ProviderView, v api.LoginView, f loginFlags) {
	w := a.err
	if v.Note != "" {
		fmt.Fprintf(w, "%s\n\n", clean(v.Note))
	}
	opened := false
	if !f.noBrowser && !f.paste && a.browse != nil {
		opened = a.browse(v.URL) == nil
	}
	switch {
	case v.UserCode != "":
		fmt.Fprintf(w, "Open %s on any machine and type this code:\n\n    %s\n\n", clean(orElse(v.VerifyURL, v.URL)), clean(v.UserCode))
		if opened {
			fmt.Fprintln(w, "The browser of this machine was opened with it.")
		}
	case opened:
		fmt.Fprintf(w, "The browser opens %s's sign-in page. If it does not, open this address:\n\n%s\n\n", p.Name, clean(v.URL))
	default:
		fmt.Fprintf(w, "Open this address and sign in:\n\n%s\n\n", clean(v.URL))
	}
	if v.PasteHint != "" {
		fmt.Fprintf(w, "%s\n", clean(v.PasteHint))
	}
	if !v.Expires.IsZero() {
		fmt.Fprintf(w, "Waiting until %s; Ctrl+C cancels.\n", v.Expires.Local().Format(time.TimeOnly))
	}
}

// follow waits for the end of a sign-in and hands on what is pasted meanwhile. Ctrl+C cancels it.
func (a *app) follow(ctx context.Context, svc api.Service, v api.LoginView, in *bufio.Reader) (api.LoginView, error) {
	lines, done := make(chan string), make(chan struct{})
	defer close(done)
	if v.Paste {
		go readLines(in, lines, done) // ends after its next line, at the latest with the program
	}
	news := make(chan watched, 1)
	watch := func(seq int) {
		go func() { // ends with the call, which has a time limit
			next, err := svc.Login(ctx, v.ID, seq)
			news <- watched{next, err}
		}()
	}
	watch(v.Seq)
	for {
		select {
		case n := <-news:
			if n.err != nil {
				return v, a.abandon(ctx, svc, v.ID, n.err)
			}
			if n.view.Note != "" && n.view.Note != v.Note {
				fmt.Fprintln(a.err, clean(n.view.Note))
			}
			if v = n.view; v.Over() {
				return v, nil
			}
			watch(v.Seq)
		case line := <-lines:
			if line = strings.TrimSpace(line); line == "" {
				continue
			}
			if _, err := svc.PasteLogin(ctx, v.ID, secret.New(line)); err != nil {
				fmt.Fprintln(a.err, clean(message(err)))
			}
		case <-ctx.Done():
			return v, a.abandon(ctx, svc, v.ID, errors.New("canceled"))
		}
	}
}

type watched struct {
	view api.LoginView
	err  error
}

func readLines(in *bufio.Reader, lines chan<- string, done <-chan struct{}) {
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			select {
			case lines <- line:
			case <-done:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// abandon cancels a sign-in that nobody waits for any more.
func (a *app) abandon(ctx context.Context, svc api.Service, id string, err error) error {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	_ = svc.CancelLogin(last, id) // it ends by itself otherwise
	if ctx.Err() != nil {
		return errors.New("the sign-in was canceled")
	}
	return err
}

func (a *app) loginEnded(ctx context.Context, svc api.Service, v api.LoginView) error {
	if a.json {
		if err := a.printJSON(v); err != nil {
			return err
		}
		if v.State != "done" {
			return errTold
		}
		return nil
	}
	if v.State != "done" {
		return errors.New(clean(v.Text))
	}
	next := "Start Patchbay with `patchbay serve`."
	if base := a.base(ctx, svc); base != "" {
		next = "It is used from now on."
	}
	_, err := fmt.Fprintf(a.out, "%s %s\n", clean(v.Text), next)
	return err
}
