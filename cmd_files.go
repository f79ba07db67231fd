package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
)

// fileCommands are the verbs for logins in the files of other programs.
func (a *app) fileCommands() []*cobra.Command {
	const which = "a file: its id, its path, its provider, or the account that follows it"
	one := nArgs(1, 1, which)
	return []*cobra.Command{
		{
			Use: "found", Short: "Logins that other programs of this computer keep in files", Args: noArgs, RunE: a.listFiles,
			Long: "Looks for the logins of vendors' own programs (Codex CLI, Gemini CLI, Kiro ...). None of them is used before you say so.\n" +
				"`borrow` uses one as long as its program keeps it good; `adopt` makes it Patchbay's own.",
		},
		a.useCommand("borrow FILE", "Use the login of another program, which stays its owner",
			"Makes an account that follows the file: it is read, read again when it changes, and never written. The program goes on\n"+
				"renewing its login, and Patchbay never does that in its place where it would sign the program out.",
			one, api.Service.BorrowFile, "The account %s follows the file from now on.\n"),
		a.useCommand("adopt FILE", "Make the login of another program Patchbay's own",
			"Takes the login over, which Patchbay renews by itself from then on. With most services this signs the program out.",
			one, api.Service.AdoptFile, "The account %s is Patchbay's own now.\n"),
		{
			Use: "release FILE", Short: "Forget an account that follows a file, and leave the file alone", Args: one,
			RunE: func(cmd *cobra.Command, args []string) error {
				return a.with(cmd.Context(), func(svc api.Service) error {
					f, err := findFile(cmd.Context(), svc, args[0])
					if err != nil {
						return err
					}
					v, err := svc.ReleaseFile(cmd.Context(), f.ID)
					if err != nil {
						return err
					}
					return a.done("Released the account %s; the file stays as it is.", label(v))
				})
			},
		},
	}
}

func (a *app) listFiles(cmd *cobra.Command, _ []string) error {
	return a.with(cmd.Context(), func(svc api.Service) error {
		list, err := svc.Files(cmd.Context())
		if err != nil {
			return err
		}
		err = printList(a, list, "ID|PROVIDER|WHO|STATE|TOKEN ENDS|FILE|DETAIL", func(f api.FileView) []string {
			where := orElse(f.Program, "-") + ": " + f.Path
			return []string{f.ID, f.Provider, orElse(f.Email, f.Identity), fileState(f), shown(f.Expires), where, clip(f.Note)}
		}, "No login of another program was found. Further paths can be named by credential_files.paths in the settings.")
		if err != nil || a.json {
			return err
		}
		told := map[string]bool{}
		for _, f := range list {
			if f.State == "found" && f.Risk != nil && !told[f.Provider] {
				told[f.Provider] = true
				fmt.Fprintf(a.out, "\nNote on %s (%s): %s\n", f.Provider, f.Risk.Since, clean(f.Risk.Text))
			}
		}
		return nil
	})
}

// fileState says in a word or two how a file stands.
func fileState(f api.FileView) string {
	switch state := strings.ReplaceAll(f.State, "_", " "); {
	case f.State == "found" && !f.Enabled:
		return state + ", provider off"
	case f.State == "borrowed" || f.State == "changed":
		return state + " by " + f.Label
	case f.State == "signed_in":
		return state + " as " + f.Label
	default:
		return state
	}
}

// useCommand makes a command that uses the login of a file. What a person must read first is shown, one label after the other.
func (a *app) useCommand(use, short, long string, args cobra.PositionalArgs,
	do func(api.Service, context.Context, string, api.FileUse) (api.AccountView, error), text string) *cobra.Command {
	var u api.FileUse
	var proxyFile string
	var yes bool
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Args: args,
		RunE: func(cmd *cobra.Command, args []string) error {
			proxy, err := a.proxy(accountFlags{proxyFile: proxyFile})
			if err != nil {
				return err
			}
			u.Proxy = proxy
			return a.with(cmd.Context(), func(svc api.Service) error {
				f, err := findFile(cmd.Context(), svc, args[0])
				if err != nil {
					return err
				}
				u.AcceptRisk, u.Accept = yes, yes
				v, err := a.agree(&u, func() (api.AccountView, error) { return do(svc, cmd.Context(), f.ID, u) })
				if err != nil {
					return err
				}
				if a.json {
					return a.printJSON(v)
				}
				_, err = fmt.Fprintf(a.out, text, label(v))
				return err
			})
		},
	}
	cmd.Flags().StringVar(&u.Name, "name", "", "what to call a new account (default: its e-mail)")
	cmd.Flags().StringVar(&proxyFile, "proxy-file", "", "read the URL of a proxy for a new account from this `file`; it may hold a password")
	cmd.Flags().BoolVar(&yes, "yes", false, "you have read what there is to read first, and want it all the same")
	return cmd
}

// agree carries a wish out and asks the person about each label that stands before it.
func (a *app) agree(u *api.FileUse, do func() (api.AccountView, error)) (api.AccountView, error) {
	in := bufio.NewReader(a.in)
	for {
		v, err := do()
		e, ok := errors.AsType[*apierror.Error](err)
		switch {
		case ok && e.Param == "accept_risk" && !u.AcceptRisk:
			u.AcceptRisk = true
		case ok && e.Param == "accept" && !u.Accept:
			u.Accept = true
		default:
			return v, err
		}
		fmt.Fprintf(a.err, "Read this first:\n\n  %s\n\nGo on? Type yes: ", clean(e.Msg))
		line, err := in.ReadString('\n')
		if answer := strings.TrimSpace(line); !strings.EqualFold(answer, "yes") {
			fmt.Fprintln(a.err)
			if answer == "" && errors.Is(err, io.EOF) {
				return api.AccountView{}, usagef("nobody is there to answer; who has read the label adds --yes")
			}
			return api.AccountView{}, errors.New("nothing was changed")
		}
	}
}

// findFile finds a file by id, path, the account that follows it, or a provider of which only one file is known.
func findFile(ctx context.Context, svc api.Service, ref string) (api.FileView, error) {
	list, err := svc.Files(ctx)
	if err != nil {
		return api.FileView{}, err
	}
	path, _ := filepath.Abs(ref) // only for the comparison
	var of []api.FileView
	for _, f := range list {
		linked := f.Account != "" && (f.Account == ref || strings.EqualFold(f.Label, ref) || strings.EqualFold(f.Provider+"/"+f.Label, ref))
		switch {
		case f.ID == ref || linked:
			return f, nil
		case f.Path == ref || f.Path == path || f.Provider == ref:
			of = append(of, f)
		}
	}
	switch len(of) {
	case 1:
		return of[0], nil
	case 0:
		return api.FileView{}, fmt.Errorf("no file is known as %q; `patchbay accounts found` lists what was found", ref)
	default:
		return api.FileView{}, fmt.Errorf("%q may be several files; name one by its id: `patchbay accounts found` lists them", ref)
	}
}
