package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	imagepng "image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"patchbay/backend/internal/testkit"
)

// clientProgram is a real client program that is run without a person. How each is pointed at an address was found by
// running it: claude-code 2.1.197, codex 0.169.0, gemini-cli 0.61.0, opencode 1.18.33, qwen-code 0.15.10.
type clientProgram struct {
	name   string // of its command
	face   string // which of its client libraries or protocols is used; "" = its only one
	format string // what it speaks
	setUp  func(r clientRun) (env []string)
	args   func(r clientRun) []string
	// picture returns the arguments of a run that shows the model a picture; nil where the program cannot.
	picture func(r clientRun, file string) []string
	// alias is another name for the model, behind which it thinks much: with a model that it does not know, the program would
	// not ask for thoughts by itself. "" = the model's own name.
	alias string
}

// clientRun is one run of a program.
type clientRun struct {
	t          *testing.T
	program    clientProgram
	home, base string
	key, model string
}

const (
	clientPrompt = "List the files of this folder with one tool call, then name the file that you found."
	// The service falls silent in its answer, so that signs of life go out to the program.
	picturePrompt = "[[silence:after=1,for=400ms]] What is in this picture?"
)

var clientPrograms = []clientProgram{
	{
		name: "claude", format: "anthropic", setUp: setUpClaude,
		args: func(r clientRun) []string {
			return []string{"-p", clientPrompt, "--model", r.model, "--allowedTools", "Bash(ls:*)"}
		},
		picture: func(r clientRun, file string) []string { // it shows a model what its Read tool was asked for
			return []string{"-p", `[[tool_call:name=Read,args={"file_path":"` + file + `"}]] What is in this picture?`, "--model", r.model, "--allowedTools", "Read"}
		},
	},
	{
		name: "codex", format: "responses", setUp: setUpCodex, args: codexArgs,
		picture: func(_ clientRun, file string) []string {
			return []string{"exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", picturePrompt, "-i", file}
		},
	},
	{name: "codex", face: "websocket", format: "responses", setUp: setUpCodex, args: codexArgs}, // it tries one, is refused, and goes on
	{
		name: "gemini", format: "gemini", setUp: setUpGemini, alias: "some-model",
		args: func(r clientRun) []string { return []string{"-y", "-m", r.model, "-p", clientPrompt} },
		picture: func(r clientRun, file string) []string {
			return []string{"-y", "-m", r.model, "-p", picturePrompt + " @" + filepath.Base(file)}
		},
	},
	{
		name: "qwen", face: "openai", format: "openai", setUp: setUpQwen, alias: "some-model",
		args: func(r clientRun) []string {
			return []string{"-y", "--auth-type", "openai", "-m", r.model, "-p", clientPrompt}
		},
		picture: func(r clientRun, file string) []string {
			return []string{"-y", "--auth-type", "openai", "-m", r.model, "-p", picturePrompt + " @" + filepath.Base(file)}
		},
	},
	{
		name: "opencode", face: "openai-compatible", format: "openai", setUp: setUpOpenCode, args: openCodeArgs, picture: openCodePicture,
	},
	{name: "opencode", face: "openai", format: "responses", setUp: setUpOpenCode, args: openCodeArgs},
	{
		name: "opencode", face: "anthropic", format: "anthropic", setUp: setUpOpenCode, args: openCodeArgs, picture: openCodePicture,
	},
}

func setUpClaude(r clientRun) []string {
	return []string{"ANTHROPIC_BASE_URL=" + r.base, "ANTHROPIC_AUTH_TOKEN=" + r.key, "CLAUDE_CONFIG_DIR=" + filepath.Join(r.home, "claude"),
		"DISABLE_AUTOUPDATER=1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1", "MAX_THINKING_TOKENS=4000"}
}

func codexArgs(clientRun) []string {
	return []string{"exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", clientPrompt}
}

func setUpCodex(r clientRun) []string {
	more := ""
	if r.program.face == "websocket" {
		more = "supports_websockets = true\n"
	}
	r.write(filepath.Join("codex", "config.toml"), `model = "`+r.model+`"
model_provider = "patchbay"
model_reasoning_effort = "medium"
[model_providers.patchbay]
name = "Patchbay"
base_url = "`+r.base+`/v1"
env_key = "PATCHBAY_CLIENT_KEY"
wire_api = "responses"
`+more)
	return []string{"CODEX_HOME=" + filepath.Join(r.home, "codex"), "PATCHBAY_CLIENT_KEY=" + r.key}
}

func setUpGemini(r clientRun) []string {
	r.write(filepath.Join(".gemini", "settings.json"), `{"security":{"auth":{"selectedType":"gemini-api-key"}},"privacy":{"usageStatisticsEnabled":false}}`)
	return []string{"GOOGLE_GEMINI_BASE_URL=" + r.base, "GEMINI_API_KEY=" + r.key, "GEMINI_CLI_TRUST_WORKSPACE=true"}
}

func setUpQwen(r clientRun) []string {
	r.write(filepath.Join(".qwen", "settings.json"), `{"security":{"auth":{"selectedType":"`+r.program.face+`"}},"privacy":{"usageStatisticsEnabled":false},
		"model":{"name":"`+r.model+`","generationConfig":{"modalities":{"image":true}}}}`)
	return []string{"OPENAI_BASE_URL=" + r.base + "/v1", "OPENAI_API_KEY=" + r.key, "OPENAI_MODEL=" + r.model}
}

func setUpOpenCode(r clientRun) []string {
	model := obj{"tool_call": true, "reasoning": true, "attachment": true, "limit": obj{"context": 100000, "output": 8000},
		"modalities": obj{"input": []any{"text", "image"}, "output": []any{"text"}}, "options": obj{"reasoningEffort": "medium"}}
	if r.program.format == "anthropic" {
		model["options"] = obj{"thinking": obj{"type": "enabled", "budgetTokens": 2048}}
	}
	config, err := json.Marshal(obj{
		"permission": obj{"*": "allow"},
		"provider":   obj{"patchbay": obj{"npm": "@ai-sdk/" + r.program.face, "options": obj{"baseURL": r.base + "/v1", "apiKey": r.key}, "models": obj{r.model: model}}},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.write(filepath.Join(".config", "opencode", "opencode.json"), string(config))
	return []string{"OPENCODE_DISABLE_MODELS_FETCH=1", "OPENCODE_DISABLE_AUTOUPDATE=1", "OPENCODE_DISABLE_DEFAULT_PLUGINS=1"}
}

func openCodeArgs(r clientRun) []string {
	return []string{"run", "-m", "patchbay/" + r.model, clientPrompt}
}

func openCodePicture(r clientRun, file string) []string {
	return []string{"run", "-m", "patchbay/" + r.model, picturePrompt, "-f", file}
}

// write puts a file into the home folder of the run.
func (r clientRun) write(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// run starts the program in dir and returns what it said.
func (r clientRun) run(dir string, args []string) string {
	r.t.Helper()
	bin, err := filepath.Abs(filepath.Join("clients", "node_modules", ".bin", r.program.name))
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Dir = dir
	cmd.Env = append([]string{"HOME=" + r.home, "PATH=" + os.Getenv("PATH"), "TERM=dumb", "XDG_CONFIG_HOME=" + filepath.Join(r.home, ".config"), "XDG_DATA_HOME=" + filepath.Join(r.home, ".local")},
		r.program.setUp(r)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		r.t.Fatalf("%s: %v\n%s\n%s", r.program.name, err, &out, &errs)
	}
	return out.String()
}

// TestClients runs each program on a service of each other protocol: a prompt that needs one tool call, with a model that
// thinks, and a prompt with a picture. The simulated service says its last sentence, which names the marker file, only
// after it has seen the tool's result, and checks the signatures of the thoughts that come back.
func TestClients(t *testing.T) {
	if os.Getenv("PATCHBAY_E2E_CLIENTS") == "" {
		t.Skip("`make e2e-clients` installs the programs and runs this")
	}
	for _, p := range clientPrograms {
		for _, up := range byKey {
			if up.format == p.format {
				continue
			}
			t.Run(strings.Join([]string{p.name, p.face, "on", up.id}, " "), func(t *testing.T) {
				t.Run("tool", func(t *testing.T) { clientTool(t, p, up) })
				if p.picture != nil {
					t.Run("picture", func(t *testing.T) { clientPicture(t, p, up) })
				}
			})
		}
	}
}

func startClient(t *testing.T, p clientProgram, up upstream) (*testkit.Bay, clientRun) {
	const keepAlive = "timeouts:\n  keep_alive: 50ms\n"
	o, model := testkit.Options{Accounts: testkit.Every(), Config: keepAlive}, up.thinking
	if p.alias != "" {
		o.Config, model = keepAlive+fmt.Sprintf("routing:\n  aliases:\n    %s: %q\n", p.alias, up.thinking+"(high)"), p.alias
	}
	bay := testkit.Start(t, o)
	return bay, clientRun{t: t, program: p, home: t.TempDir(), base: bay.URL + "/" + up.id, key: bay.Key, model: model}
}

// asked returns the bodies that the service got, and fails the test where it refused one.
func asked(t *testing.T, bay *testkit.Bay, up upstream) (bodies []string) {
	t.Helper()
	for _, r := range bay.Sim.Requests() {
		if r.Upstream != up.sim() || r.Method != "POST" {
			continue
		}
		bodies = append(bodies, string(r.Body))
		if r.Refused != "" {
			t.Errorf("the upstream refused a request: %s\n%.4000s", r.Refused, r.Body)
		}
	}
	return bodies
}

func clientTool(t *testing.T, p clientProgram, up upstream) {
	bay, run := startClient(t, p, up)
	dir := t.TempDir()
	const marker = "heron-4711.txt"
	if err := os.WriteFile(filepath.Join(dir, marker), []byte("a bird\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	said := run.run(dir, p.args(run))
	if !strings.Contains(said, marker) {
		t.Errorf("the last sentence does not name %s:\n%s", marker, said)
	}
	bodies := asked(t, bay, up)
	if len(bodies) < 2 {
		t.Fatalf("the upstream was asked %d times", len(bodies))
	}
	if kept := keptThought[up.format]; kept != "" {
		back := ""
		for _, b := range bodies {
			if strings.Contains(b, kept) && !strings.Contains(b, "skip_thought_signature_validator") {
				back = b
			}
		}
		if back == "" {
			t.Errorf("the thoughts of the first turn did not come back:\n%.6000s", bodies[len(bodies)-1])
		}
	}
	t.Logf("%d requests; it said: %s", len(bodies), strings.TrimSpace(said))
}

// keptThought is how the signature of an earlier thought looks in a request of each protocol that has them.
var keptThought = map[string]string{"anthropic": `"signature"`, "responses": `"encrypted_content"`, "gemini": `"thoughtSignature"`}

var pictureBytes = regexp.MustCompile(`iVBORw0KGgo|/9j/|UklGR`) // base64 of PNG, JPEG and WebP: some programs write a picture anew

func clientPicture(t *testing.T, p clientProgram, up upstream) {
	up.thinking = up.plain // each service has pictures there
	bay, run := startClient(t, p, up)
	dir := t.TempDir()
	file := filepath.Join(dir, "heron.png")
	picture := image.NewRGBA(image.Rect(0, 0, 64, 64))
	for i := range 64 * 64 {
		picture.Set(i%64, i/64, color.RGBA{uint8(i), uint8(i / 64), 90, 255})
	}
	var data bytes.Buffer
	if err := imagepng.Encode(&data, picture); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	said := run.run(dir, p.picture(run, file))
	for _, b := range asked(t, bay, up) {
		if pictureBytes.MatchString(b) {
			return
		}
	}
	t.Errorf("the picture did not reach the upstream; it said: %s", said)
}
