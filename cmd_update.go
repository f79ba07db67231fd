package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/transport"
	"patchbay/backend/update"
)

func (a *app) updateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "update",
		Short: "Is there a newer version",
		Long: "Says whether there is a newer version of Patchbay. Nothing is asked by itself unless the setting updates.check is\n" +
			"true, and nothing is installed unasked: a package is downloaded when you say so, checked against the signed list\n" +
			"of releases, and installed by you.",
		Example: "  patchbay update check                ask now\n" +
			"  patchbay update download --to .      fetch the package for this installation and check it",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.update(cmd.Context(), api.Service.Update) },
	}
	cmd.AddCommand(
		&cobra.Command{
			Use: "check", Short: "Ask the publisher now", Args: noArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return a.update(cmd.Context(), api.Service.CheckUpdate) },
		},
		a.updateDownloadCommand(),
	)
	return cmd
}

func (a *app) update(ctx context.Context, ask func(api.Service, context.Context) (api.UpdateView, error)) error {
	return a.with(ctx, func(svc api.Service) error {
		v, err := ask(svc, ctx)
		if err != nil {
			return err
		}
		if err := a.printUpdate(v); err != nil {
			return err
		}
		if v.Problem != "" {
			return errTold
		}
		return nil
	})
}

func (a *app) printUpdate(v api.UpdateView) error {
	if a.json {
		return a.printJSON(v)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "This is Patchbay %s.\n", clean(v.Version))
	switch r := v.Available; {
	case r != nil:
		kind := ""
		if r.Security {
			kind = ", which mends a security hole"
		}
		fmt.Fprintf(&b, "Version %s of %s is available%s.\n", clean(r.Version), r.Published.Format(time.DateOnly), kind)
		if r.Notes != "" {
			fmt.Fprintf(&b, "What is new: %s\n", clean(r.Notes))
		}
		if r.Package != nil {
			fmt.Fprintf(&b, "`patchbay update download` fetches it (%s, %.1f MB).\n", clean(r.Package.Kind), float64(r.Package.Size)/1e6)
		} else {
			b.WriteString("It has no package for this installation: look where you got Patchbay from.\n")
		}
	case v.Latest != "":
		fmt.Fprintf(&b, "The newest release is %s.\n", clean(v.Latest))
	case !v.Possible:
		b.WriteString("This build cannot look for updates: it carries no key and address of a publisher.\n")
	case v.Checked.IsZero():
		b.WriteString("Newer versions were not looked for yet; `patchbay update check` asks now.\n")
	}
	if !v.Checked.IsZero() {
		fmt.Fprintf(&b, "Asked last: %s.\n", shown(v.Checked))
	}
	if v.Problem != "" {
		fmt.Fprintf(&b, "The last check failed: %s\n", clean(v.Problem))
	}
	_, err := fmt.Fprint(a.out, b.String())
	return err
}

func (a *app) updateDownloadCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "download", Short: "Fetch the newer version's package and check it", Args: noArgs,
		Long: "Fetches the package for this installation into a folder, and keeps it only if its size and hash are those of the\n" +
			"signed list. You install it.",
		RunE: func(cmd *cobra.Command, _ []string) error { return a.updateDownload(cmd.Context(), dir) },
	}
	cmd.Flags().StringVar(&dir, "to", ".", "`folder` to put it into")
	return cmd
}

func (a *app) updateDownload(ctx context.Context, dir string) error {
	return a.with(ctx, func(svc api.Service) error {
		v, err := svc.CheckUpdate(ctx)
		switch {
		case err != nil:
			return err
		case v.Problem != "":
			return fmt.Errorf("%s; nothing is downloaded", v.Problem)
		case v.Available == nil:
			return fmt.Errorf("there is no newer version than %s", v.Version)
		case v.Available.Package == nil:
			return &apierror.Error{Kind: apierror.InvalidRequest, Msg: "version " + v.Available.Version + " has no package for this installation"}
		}
		p := v.Available.Package
		client, err := outbound()
		if err != nil {
			return err
		}
		path, err := update.Download(ctx, client, update.File{Kind: p.Kind, URL: p.URL, Size: p.Size, SHA256: p.SHA256}, dir)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.out, "Version %s is in %s, and is the one that was signed.\n%s\n", clean(v.Available.Version), path, update.HowToInstall(p.Kind, path))
		return err
	})
}

// outbound is a client that goes the way the environment says.
func outbound() (*http.Client, error) {
	return transport.NewClients(transport.Options{Version: versionText()}).Client("")
}
