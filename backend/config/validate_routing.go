package config

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

func (c *checker) routing() {
	if id := c.cfg.DefaultProvider; id != "" && id != "auto" && !c.known(id) {
		c.fail("default_provider", strconv.Quote(id)+" is no provider: use the id of a built-in one, or of one under providers")
	}
	for name, target := range c.cfg.Routing.Aliases {
		if name == "" || target == "" {
			c.fail("routing.aliases."+name, "an alias needs a name and the model that it stands for")
		}
		if strings.ContainsFunc(name+target, unicode.IsControl) {
			c.fail("routing.aliases", "an alias or its model holds a control character, such as a line break: "+strconv.Quote(name))
		}
		if i := strings.IndexByte(name, '*'); i >= 0 && i < len(name)-1 {
			c.fail("routing.aliases."+name, "a * is read at the end of an alias only")
		}
	}
	for _, from := range slices.Sorted(maps.Keys(c.cfg.Routing.Chains)) {
		c.chain("routing.chains."+from, from, c.cfg.Routing.Chains[from])
	}
	for _, model := range slices.Sorted(maps.Keys(c.cfg.Routing.ModelFallback)) {
		c.modelFallback("routing.model_fallback."+model, model, c.cfg.Routing.ModelFallback[model])
	}
	for _, p := range c.cfg.Routing.Hidden {
		if strings.TrimSpace(p) == "" {
			c.fail("routing.hidden", "a pattern is empty")
		}
	}
	if n := c.cfg.Routing.MaxAttempts; n < 1 || n > 100 {
		c.fail("routing.max_attempts", "this must be between 1 and 100")
	}
}

// chain checks one chain. A chain is followed from step to step, so that a circle would lead nowhere new.
func (c *checker) chain(key, from string, steps []string) {
	if head, _, _ := strings.Cut(from, "/"); !c.known(head) {
		c.fail(key, strconv.Quote(head)+" is no provider")
		return
	}
	seen := map[string]bool{}
	for _, to := range steps {
		head, model, named := strings.Cut(to, "/")
		switch name := stepName(to); {
		case !c.known(head):
			c.fail(key, strconv.Quote(head)+" is no provider: a chain lists provider or provider/model")
			return
		case named && model == "":
			c.fail(key, strconv.Quote(to)+" names no model: write "+head+", or "+head+"/MODEL")
			return
		case name == stepName(from):
			c.fail(key, to+" is where this chain starts: it cannot step in for itself")
			return
		case seen[name]:
			c.fail(key, to+" stands here twice")
			return
		default:
			seen[name] = true
		}
	}
	if way := c.circle(from); way != nil {
		c.fail(key, "this leads in a circle ("+strings.Join(way, " → ")+"): take one of these steps out")
	}
}

// stepName is a step of a chain under the provider's name of today.
func stepName(step string) string {
	head, model, named := strings.Cut(step, "/")
	for old, now := range OldNames {
		if strings.EqualFold(old, head) {
			head = now
		}
	}
	if named {
		return head + "/" + model
	}
	return head
}

// circle returns the way on which a chain comes back to where it starts, nil if it does not. A step to another model of the
// provider that the chain is of does not count: it is a further try at the same place.
func (c *checker) circle(from string) []string {
	chains := map[string][]string{}
	for of, steps := range c.cfg.Routing.Chains {
		for _, s := range steps {
			chains[stepName(of)] = append(chains[stepName(of)], stepName(s))
		}
	}
	start := stepName(from)
	done := map[string]bool{}
	var follow func(of string, way []string) []string
	follow = func(of string, way []string) []string {
		for _, step := range chains[of] {
			head, _, named := strings.Cut(step, "/")
			next := []string{head}
			if named {
				next = []string{step, head}
			}
			for _, n := range next {
				if n == start && (of != start || n == step) {
					return append(slices.Clone(way), step)
				}
				if n == of || done[n] || len(chains[n]) == 0 {
					continue
				}
				done[n] = true
				if found := follow(n, append(slices.Clone(way), step)); found != nil {
					return found
				}
			}
		}
		return nil
	}
	return follow(start, []string{from})
}

func (c *checker) modelFallback(key, model string, targets []string) {
	if model == "" || len(targets) == 0 {
		c.fail(key, "a fallback needs a model, and where it goes: provider/model")
		return
	}
	seen := map[string]bool{}
	for _, to := range targets {
		head, m, _ := strings.Cut(to, "/")
		switch {
		case m == "":
			c.fail(key, strconv.Quote(to)+" names no model: write provider/model")
			return
		case !c.known(head):
			c.fail(key, strconv.Quote(head)+" is no provider: write provider/model")
			return
		case stepName(to) == stepName(model):
			c.fail(key, to+" is the model itself: it cannot step in for itself")
			return
		case seen[stepName(to)]:
			c.fail(key, to+" stands here twice")
			return
		}
		seen[stepName(to)] = true
	}
}

// Efforts are the levels of thinking, the least first.
var Efforts = []string{"minimal", "low", "medium", "high", "xhigh", "max"}

// thinking checks how much models are to think.
func (c *checker) thinking(key string, t Thinking) {
	n, isNumber := strconv.Atoi(t.Default)
	if d := t.Default; d != "" && d != "auto" && d != "off" && !slices.Contains(Efforts, d) && (isNumber != nil || n < 1) {
		c.fail(key+".default", strconv.Quote(d)+" is neither a level ("+strings.Join(Efforts, ", ")+"), nor a number of tokens, nor auto or off")
	}
	if m := t.Max; m != "" && !slices.Contains(Efforts, m) {
		if n, err := strconv.Atoi(m); err != nil || n < 1 {
			c.fail(key+".max", strconv.Quote(m)+" is neither a level ("+strings.Join(Efforts, ", ")+") nor a number of tokens")
		}
	}
}
