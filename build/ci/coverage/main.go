// Command coverage prints the statement coverage of a profile, in all and per package, and fails below a minimum. A
// statement that several test binaries saw counts once.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

func main() {
	least := flag.Float64("min", 0, "fail below this percentage")
	flag.Parse()
	total, err := report(flag.Arg(0))
	if err != nil {
		fmt.Fprintln(os.Stderr, "coverage:", err)
		os.Exit(1)
	}
	if total < *least {
		fmt.Fprintf(os.Stderr, "coverage: %.1f %% is below %.1f %%\n", total, *least)
		os.Exit(1)
	}
}

type block struct {
	statements int
	hit        bool
}

func report(file string) (float64, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	blocks := map[string]block{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) != 3 {
			continue // the mode line
		}
		n, err1 := strconv.Atoi(fields[1])
		count, err2 := strconv.Atoi(fields[2])
		if err1 != nil || err2 != nil {
			return 0, fmt.Errorf("%s: %q is no line of a profile", file, lines.Text())
		}
		blocks[fields[0]] = block{n, blocks[fields[0]].hit || count > 0}
	}
	type sum struct{ all, hit int }
	packages := map[string]sum{}
	var total sum
	for place, b := range blocks {
		name := path.Dir(place[:strings.LastIndexByte(place, ':')])
		if strings.Contains(name, "/internal/") {
			continue // only serves tests
		}
		s := packages[name]
		s.all += b.statements
		total.all += b.statements
		if b.hit {
			s.hit += b.statements
			total.hit += b.statements
		}
		packages[name] = s
	}
	for _, name := range slices.Sorted(maps.Keys(packages)) {
		s := packages[name]
		fmt.Printf("%6.1f %%  %s\n", 100*float64(s.hit)/float64(max(s.all, 1)), name)
	}
	all := 100 * float64(total.hit) / float64(max(total.all, 1))
	fmt.Printf("%6.1f %%  of %d statements in backend\n", all, total.all)
	return all, nil
}
