package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"patchbay/backend/internal/testkit"
)

// clientProgram is a real client program that is run once without a person.
type clientProgram struct {
	name     string
	upstream string // the provider it is pointed at, which speaks another protocol
	model    string
	setUp    func(t *testing.T, home string, p clientProgram, base, key string) (env []string)
	args     []string
}

const clientPrompt = "List the files of this folder with one tool call, then name the file that you found."

var clientPrograms = []clientProgram{
	{"claude", "openai", "gpt-4.1", claudeEnv, []string{"-p", clientPrompt, "--model", "gpt-4.1", "--allowedTools", "Bash(ls:*)"}},
	{"claude", "compat", "sim-chat", claudeEnv, []string{"-p", clientPrompt, "--model", "sim-chat", "--allowedTools", "Bash(ls:*)"}},
	{"opencode", "anthropic", "claude-sonnet-4-5", openCodeEnv("@ai-sdk/openai-compatible"), []string{"run", "-m", "patchbay/claude-sonnet-4-5", clientPrompt}},
	{"opencode", "compat", "sim-chat", openCodeEnv("@ai-sdk/anthropic"), []string{"run", "-m", "patchbay/sim-chat", clientPrompt}},
}

func claudeEnv(_ *testing.T, home string, _ clientProgram, base, key string) []string {
	return []string{"ANTHROPIC_BASE_URL=" + base, "ANTHROPIC_AUTH_TOKEN=" + key, "CLAUDE_CONFIG_DIR=" + filepath.Join(home, "claude"), "DISABLE_AUTOUPDATER=1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1"}
}

func openCodeEnv(library string) func(*testing.T, string, clientProgram, string, string) []string {
	return func(t *testing.T, home string, p clientProgram, base, key string) []string {
		config, err := json.Marshal(obj{
			"permission": obj{"*": "allow"},
			"provider": obj{"patchbay": obj{
				"npm": library, "options": obj{"baseURL": base + "/v1", "apiKey": key},
				"models": obj{p.model: obj{"tool_call": true, "reasoning": false, "limit": obj{"context": 100000, "output": 8000}}},
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(home, ".config", "opencode")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "opencode.json"), config, 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{"OPENCODE_DISABLE_MODELS_FETCH=1", "OPENCODE_DISABLE_AUTOUPDATE=1", "OPENCODE_DISABLE_DEFAULT_PLUGINS=1"}
	}
}

// TestClients runs each program with a prompt that needs one tool call. The simulated service says its last sentence, which
// names the marker file, only after it has seen the tool's result.
func TestClients(t *testing.T) {
	if os.Getenv("PATCHBAY_E2E_CLIENTS") == "" {
		t.Skip("`make e2e-clients` installs the programs and runs this")
	}
	bin, err := filepath.Abs(filepath.Join("clients", "node_modules", ".bin"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range clientPrograms {
		t.Run(p.name+" on "+p.upstream, func(t *testing.T) {
			bay := testkit.Start(t, testkit.Options{})
			home, work := t.TempDir(), t.TempDir()
			const marker = "heron-4711.txt"
			if err := os.WriteFile(filepath.Join(work, marker), []byte("a bird\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, filepath.Join(bin, p.name), p.args...)
			cmd.Dir = work
			cmd.Env = append([]string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "TERM=dumb", "XDG_CONFIG_HOME=" + filepath.Join(home, ".config"), "XDG_DATA_HOME=" + filepath.Join(home, ".local")},
				p.setUp(t, home, p, bay.URL+"/"+p.upstream, bay.Key)...)
			var out, errs bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &errs
			if err := cmd.Run(); err != nil {
				t.Fatalf("%s: %v\n%s\n%s", p.name, err, &out, &errs)
			}
			if !strings.Contains(out.String(), marker) {
				t.Errorf("the last sentence does not name %s:\n%s\n%s", marker, &out, &errs)
			}
			sim := upstream{id: p.upstream}.sim()
			asked := 0
			for _, r := range bay.Sim.Requests() {
				if r.Upstream != sim || r.Method != "POST" {
					continue
				}
				asked++
				if r.Refused != "" {
					t.Errorf("the upstream refused a request: %s", r.Refused)
				}
			}
			if asked < 2 {
				t.Errorf("the upstream was asked %d times", asked)
			}
			t.Logf("%d requests; it said: %s", asked, strings.TrimSpace(out.String()))
		})
	}
}
