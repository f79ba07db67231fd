package simulator

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Scenario is the name of a way to answer, with arguments after a colon:
// "rate_limit:retry_after=30" or "slow:delay=50ms,chunks=8". Values are
// percent-decoded; the argument `args` takes the rest of the text, so that it
// can hold JSON.
//
// Several names are joined by a plus and share the arguments:
// "tool_call+slow:delay=50ms".
//
// Any scenario understands in, out, cached, written and reasoning (token
// numbers of the usage), text (the answer's text), first_byte (wait before the
// head) and delay (wait between chunks).
type Scenario string

// parsed is a scenario taken apart.
type parsed struct {
	infos []*scenarioInfo
	args  arguments
}

// arguments are the named values of a scenario.
type arguments map[string]string

func (a arguments) text(name, otherwise string) string {
	if v, ok := a[name]; ok {
		return v
	}
	return otherwise
}

func (a arguments) number(name string, otherwise int) int {
	if n, err := strconv.Atoi(a[name]); err == nil {
		return n
	}
	return otherwise
}

func (a arguments) duration(name string, otherwise time.Duration) time.Duration {
	if d, err := time.ParseDuration(a[name]); err == nil {
		return d
	}
	return otherwise
}

// parse finds the scenario's entry in the table and splits its arguments.
func (sc Scenario) parse() (*parsed, error) {
	name, rest, _ := strings.Cut(string(sc), ":")
	var infos []*scenarioInfo
	for one := range strings.SplitSeq(name, "+") {
		info := lookup(one)
		if info == nil {
			return nil, fmt.Errorf("no scenario %q", one)
		}
		infos = append(infos, info)
	}
	args := arguments{}
	for rest != "" {
		var one string
		if strings.HasPrefix(rest, "args=") {
			one, rest = rest, ""
		} else {
			one, rest, _ = strings.Cut(rest, ",")
		}
		k, v, ok := strings.Cut(one, "=")
		if !ok {
			return nil, fmt.Errorf("scenario %q: argument %q has no value", name, one)
		}
		if d, err := url.PathUnescape(v); err == nil {
			v = d
		}
		args[strings.TrimSpace(k)] = v
	}
	return &parsed{infos: infos, args: args}, nil
}

// lookup finds a scenario by name; dashes and missing underscores do not
// matter, because model names and keys are seldom written with underscores.
func lookup(name string) *scenarioInfo { return byFlatName()[flatten(name)] }

// byFlatName is the table by flattened name: every key and model is looked up.
var byFlatName = sync.OnceValue(func() map[string]*scenarioInfo {
	m := make(map[string]*scenarioInfo, len(scenarios))
	for i := range scenarios {
		if flat := flatten(scenarios[i].name); m[flat] == nil {
			m[flat] = &scenarios[i]
		}
	}
	return m
})

var flat = strings.NewReplacer("-", "", "_", "")

func flatten(name string) string { return flat.Replace(strings.ToLower(name)) }

// marker finds `[[scenario]]` and `[[scenario:arg=value]]` in a user's text.
var marker = regexp.MustCompile(`\[\[([a-z0-9_+]+(?::.*?)?)\]\]`)

// choose decides which scenario answers; "" leaves it to the request. Queue
// and endpoint name the scripted queue to take from.
func (s *Server) choose(queue, key string, t *turn) Scenario {
	if sc, ok := s.dequeue(queue); ok {
		return sc
	}
	if sc := s.keyScenario(key); sc != "" {
		return sc
	}
	if sc := modelScenario(t.model); sc != "" {
		return sc
	}
	for _, m := range marker.FindAllStringSubmatch(t.lastUser, -1) {
		if _, err := Scenario(m[1]).parse(); err == nil {
			return Scenario(m[1])
		}
	}
	return ""
}

func (s *Server) dequeue(queue string) (Scenario, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queue[queue]
	if len(q) == 0 {
		return "", false
	}
	s.queue[queue] = q[1:]
	return q[0], true
}

// keyScenario returns the scenario of a key: set by SetKey, or told by the key
// itself (`sk-sim-ratelimit`, `sk-sim-unauthorized-2`).
func (s *Server) keyScenario(key string) Scenario {
	s.mu.Lock()
	sc, ok := s.keys[key]
	s.mu.Unlock()
	if ok {
		return sc
	}
	name := strings.TrimPrefix(strings.TrimPrefix(key, "sk-ant-sim-"), "sk-sim-")
	if name == key {
		return ""
	}
	// A number or a letter at the end tells keys of one scenario apart.
	for _, n := range []string{name, keyNumber.ReplaceAllString(name, "")} {
		if info := lookup(n); info != nil {
			return Scenario(info.name)
		}
	}
	return ""
}

var keyNumber = regexp.MustCompile(`-([0-9]+|[a-z])$`)

// modelScenario reads `sim-<scenario>` and `<model>@<scenario>`.
func modelScenario(model string) Scenario {
	if _, after, ok := strings.Cut(model, "@"); ok {
		if _, err := Scenario(after).parse(); err == nil {
			return Scenario(after)
		}
	}
	if name, ok := strings.CutPrefix(model, "sim-"); ok {
		if _, err := Scenario(name).parse(); err == nil {
			return Scenario(name)
		}
	}
	return ""
}
