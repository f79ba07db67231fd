package record

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// The prompt log is a text for people: what apps asked and what they were answered, one request after the other.

// promptFiles are the paths that the prompt log may use, the newest first.
func (b *Bodies) promptFiles() []string {
	out := []string{b.prompts}
	for i := 1; i < max(b.opt.Load().PromptFiles, 1); i++ {
		out = append(out, fmt.Sprintf("%s.%d", b.prompts, i))
	}
	return out
}

// writePrompt writes a request that was already redacted to where the person wants to read it.
func (b *Bodies) writePrompt(k *Kept) error {
	text := promptText(k)
	if text == "" {
		return nil
	}
	o := b.opt.Load()
	if o.Prompts == PromptsConsole {
		if b.console == nil {
			return nil
		}
		_, err := b.console.Write([]byte(text))
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := os.MkdirAll(filepath.Dir(b.prompts), 0o700); err != nil {
		return err
	}
	if info, err := os.Stat(b.prompts); err == nil && info.Size() > 0 && info.Size()+int64(len(text)) > o.PromptSize {
		if err := b.rotatePrompts(); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(b.prompts, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// rotatePrompts moves each file on by one; the oldest is gone. The caller holds mu.
func (b *Bodies) rotatePrompts() error {
	files := b.promptFiles()
	if len(files) == 1 {
		return os.Remove(files[0])
	}
	for i := len(files) - 1; i > 0; i-- {
		if err := os.Rename(files[i-1], files[i]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// trimPrompts deletes files of prompts that are too old, the one that is written excepted, and those that are too many since
// the person wants fewer. The caller holds mu.
func (b *Bodies) trimPrompts() {
	o := b.opt.Load()
	files := b.promptFiles()
	for _, path := range b.oldPrompts() {
		info, err := os.Stat(path)
		if err != nil || slices.Contains(files, path) && (o.PromptAge <= 0 || time.Since(info.ModTime()) <= o.PromptAge) {
			continue
		}
		if err := os.Remove(path); err != nil {
			b.log.Warn("An old file of prompts cannot be deleted", "err", err)
		}
	}
}

// oldPrompts are the files of prompts that are there and are not written any more.
func (b *Bodies) oldPrompts() []string {
	entries, err := os.ReadDir(filepath.Dir(b.prompts))
	if err != nil {
		return nil // there are none yet
	}
	var out []string
	for _, e := range entries {
		n, ok := strings.CutPrefix(e.Name(), filepath.Base(b.prompts)+".")
		if _, err := strconv.ParseUint(n, 10, 16); ok && err == nil {
			out = append(out, filepath.Join(filepath.Dir(b.prompts), e.Name()))
		}
	}
	return out
}

// ClearPrompts deletes the prompt log.
func (b *Bodies) ClearPrompts() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	for _, path := range append(b.oldPrompts(), b.prompts) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// maxPrompt bounds what one message takes of the prompt log.
const maxPrompt = 64 << 10

// promptText writes a conversation for people, "" where there is none.
func promptText(k *Kept) string {
	if k.Chat == nil {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "=== %s  %s  %s %s", k.At.Format("2006-01-02 15:04:05"), k.ID, k.Format, k.Op)
	if k.keyName != "" {
		b.WriteString("  app " + k.keyName)
	}
	if n := len(k.Calls); n > 0 {
		b.WriteString("  by " + k.Calls[n-1].Provider)
	}
	b.WriteString("\n")
	for _, m := range k.Chat.Messages {
		var msg chatMessage
		if err := json.Unmarshal(m, &msg); err != nil {
			continue // it came from our own writer
		}
		text := msg.text()
		if len(text) > maxPrompt {
			text = strings.ToValidUTF8(text[:maxPrompt], "") + "... (cut)"
		}
		b.WriteString("--- " + msg.Role + "\n" + strings.TrimRight(printable(text), "\n") + "\n")
	}
	return b.String() + "\n"
}

// printable takes out what a terminal would obey.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return -1
		}
		return r
	}, s)
}
