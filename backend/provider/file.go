package provider

import (
	"errors"
	"time"
)

// CredentialFile is where a vendor's own program keeps its login.
type CredentialFile struct {
	// Path is where the file is: "~" stands for the person's home, "%NAME%" for a variable of Windows, and "/" for the
	// separator of the system.
	Path string
	// Format tells the files of one driver apart, for the driver itself.
	Format string
	// Program is whose file it is, as people know it: "Codex CLI".
	Program string
	// OS is the system that has this path, as Go names it; "" = all.
	OS string
	// Env is the program's own variable that moves the file: its value stands for Base, a beginning of Path ("~/.codex"), or
	// for all of Path where Base is "".
	Env, Base string
}

// A FileReader is a Driver that understands the files of its Info.Files.
type FileReader interface {
	// ReadFile reads a login. It does no I/O but through f, trusts nothing in it, and never quotes it in an error. It is
	// asked for files that a person named too, whose Format is "": the content decides.
	//
	// An error that is ErrNoLogin means that the file is whole and holds no login of this provider: an API key, a login of
	// another program, nothing at all. Every other error may come of a file that is being written: it is read again.
	ReadFile(f File) (FileLogin, error)
}

// ErrNoLogin reports a file that holds no login of a provider. Wrap it to say what the file holds instead.
var ErrNoLogin = errors.New("the file holds no login of this provider")

// File is a file as a FileReader gets it.
type File struct {
	Path     string
	Format   string // of the CredentialFile; "" = a person named the path
	Data     []byte // nil for an SQLite database
	Modified time.Time
	// Beside reads another file of the same folder. A name with a separator in it is refused.
	Beside func(name string) ([]byte, error)
	// Rows asks an SQLite database, opened for reading only; nil for any other file. Values are text, NULL is "".
	Rows func(query string) ([][]string, error)
}

// FileLogin is a login that was read from a file.
type FileLogin struct {
	// Credential has the members ExtraIdentity and ExtraEmail as a sign-in would set them, as far as the file tells: a person
	// who signs in later must be found by it.
	Credential
	// Login is the id of the Login by whose way it would be renewed; "" = it cannot be.
	Login string
	// Settings are fields of the account that belong to this login, for example a region.
	Settings map[string]string
	// Note says what a person should know of it, "" = nothing.
	Note string
}
