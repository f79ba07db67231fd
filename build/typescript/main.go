// Command typescript writes the types of the management API for the page: typescript FILE.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"patchbay/backend/api"
)

func main() {
	if err := write(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "typescript:", err)
		os.Exit(1)
	}
}

func write(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: typescript FILE")
	}
	if err := os.MkdirAll(filepath.Dir(args[0]), 0o755); err != nil {
		return err
	}
	return os.WriteFile(args[0], api.TypeScript(), 0o644)
}
