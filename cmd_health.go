package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"patchbay/backend"
)

// healthTime is how long an instance may take to answer before it counts as dead.
const healthTime = 3 * time.Second

func (a *app) healthCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "health",
		Short: "Does the running Patchbay answer",
		Long: "Asks the running Patchbay for its health, for containers and supervisors. Ends with 1 if none runs or it does not\n" +
			"answer. What accounts can do is printed and changes nothing: restarting would not mend it.",
		Example: "  patchbay health",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.health(cmd.Context()) },
	}
}

// health never opens the store, as other commands do when nothing runs.
func (a *app) health(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	paths, err := a.paths()
	if err != nil {
		return err
	}
	svc, err := backend.Running(ctx, paths)
	if err != nil {
		return err
	}
	st, err := svc.Status(ctx)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(a.out, st.Health); err != nil {
		return err
	}
	for _, r := range st.Reasons {
		fmt.Fprintln(a.out, clean(r))
	}
	return nil
}
