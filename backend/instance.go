package backend

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"patchbay/backend/api"
	"patchbay/backend/config"
	"patchbay/backend/secret"
)

var (
	// ErrRunning reports that another process holds the instance lock.
	ErrRunning = errors.New("another Patchbay is already running for this user")
	// ErrNotRunning reports that no instance runs.
	ErrNotRunning = errors.New("no Patchbay is running")
)

const (
	lockName = "instance.lock"
	infoName = "instance.json"
)

// Instance is what a running instance says about itself, so that commands find it.
type Instance struct {
	PID     int
	Port    int
	Token   secret.Value // opens the management API
	Version string
	Base    string // http://127.0.0.1:8390
}

// instanceFile is Instance as it stands in the file, which only its owner may read.
type instanceFile struct {
	PID     int    `json:"pid"`
	Port    int    `json:"port"`
	Token   string `json:"token"`
	Version string `json:"version"`
	Base    string `json:"base"`
}

// NewToken makes a token for the management API: 32 hex digits.
func NewToken() secret.Value {
	var b [16]byte
	rand.Read(b[:]) // crypto/rand: never fails
	return secret.New(hex.EncodeToString(b[:]))
}

// Lock makes this process the only one that owns the state under its paths. The operating system gives it up when the
// process ends, however that happens.
type Lock struct {
	file *os.File
	info string // path of instance.json
}

// Waiting for the lock and for an instance that is just starting. A command that looks whether somebody runs holds a
// shared lock for a moment, so one refusal means nothing.
const (
	lockPatience   = 500 * time.Millisecond
	answerPatience = 3 * time.Second
	lookAgain      = 25 * time.Millisecond
)

// TakeLock takes the instance lock, or returns ErrRunning. What a killed instance left behind is removed.
func TakeLock(ctx context.Context, paths config.Paths) (*Lock, error) {
	if err := os.MkdirAll(paths.Dir(), 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of the settings: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(paths.Dir(), lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the instance lock: %w", err)
	}
	err = retry(ctx, lockPatience, ErrRunning, func() error { return lockFile(f, true) })
	if err != nil {
		f.Close()
		return nil, err
	}
	l := &Lock{file: f, info: filepath.Join(paths.Dir(), infoName)}
	if err := os.Remove(l.info); err != nil && !errors.Is(err, os.ErrNotExist) {
		f.Close()
		return nil, fmt.Errorf("removing what an earlier instance left: %w", err)
	}
	return l, nil
}

// retry repeats try while it fails with again, for as long as patience lasts.
func retry(ctx context.Context, patience time.Duration, again error, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		err := try()
		if !errors.Is(err, again) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

// Publish tells commands where the instance is. It is called once the listener is up.
func (l *Lock) Publish(i Instance) error {
	b, err := json.Marshal(instanceFile{i.PID, i.Port, i.Token.Reveal(), i.Version, i.Base})
	if err != nil {
		return fmt.Errorf("publishing the instance: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(l.info), ".instance-*") // 0600
	if err != nil {
		return fmt.Errorf("publishing the instance: %w", err)
	}
	defer os.Remove(tmp.Name()) // after the rename it is gone
	_, err = tmp.Write(b)
	if err = errors.Join(err, tmp.Close()); err != nil {
		return fmt.Errorf("publishing the instance: %w", err)
	}
	if err := os.Rename(tmp.Name(), l.info); err != nil {
		return fmt.Errorf("publishing the instance: %w", err)
	}
	return nil
}

// Release takes back what Publish told and gives the lock up. The lock's file stays: removing it would let two processes
// lock two files of the same name.
func (l *Lock) Release() error {
	err := os.Remove(l.info)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, l.file.Close())
}

// Running returns a client of the instance that runs for these paths, or ErrNotRunning. What a killed instance left
// behind counts as not running.
func Running(ctx context.Context, paths config.Paths) (*api.Client, error) {
	var client *api.Client
	errNotYet := errors.New("another Patchbay command is at work, or Patchbay is just starting; try again")
	err := retry(ctx, answerPatience, errNotYet, func() error {
		held, err := lockHeld(filepath.Join(paths.Dir(), lockName))
		if err != nil {
			return err
		}
		if !held {
			return ErrNotRunning
		}
		i, err := readInstance(filepath.Join(paths.Dir(), infoName))
		if errors.Is(err, os.ErrNotExist) {
			return errNotYet
		}
		if err != nil {
			return err
		}
		client = api.NewClient(i.Base, i.Token)
		return nil
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerPatience)
	defer cancel()
	if _, err := client.Status(ctx); err != nil {
		return nil, fmt.Errorf("an instance runs but does not answer: %w", err)
	}
	return client, nil
}

// lockHeld reports whether some process holds the instance lock.
func lockHeld(path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for a running instance: %w", err)
	}
	defer f.Close()
	err = lockFile(f, false)
	if errors.Is(err, ErrRunning) {
		return true, nil
	}
	return false, err
}

func readInstance(path string) (Instance, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Instance{}, fmt.Errorf("looking for a running instance: %w", err)
	}
	var f instanceFile
	if err := json.Unmarshal(b, &f); err != nil {
		return Instance{}, fmt.Errorf("%s cannot be read; restart Patchbay", path) // the cause could quote the token
	}
	if f.Base == "" {
		f.Base = "http://127.0.0.1:" + strconv.Itoa(f.Port)
	}
	return Instance{PID: f.PID, Port: f.Port, Token: secret.New(f.Token), Version: f.Version, Base: f.Base}, nil
}

// IsRunning reports whether an instance runs for these paths; it asks nobody.
func IsRunning(paths config.Paths) bool {
	held, err := lockHeld(filepath.Join(paths.Dir(), lockName))
	return err == nil && held
}

// AwaitEnd waits until no instance runs for these paths.
func AwaitEnd(ctx context.Context, paths config.Paths) error {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for IsRunning(paths) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the end of the other Patchbay: %w", ctx.Err())
		}
	}
	return nil
}
