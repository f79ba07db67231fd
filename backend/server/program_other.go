//go:build !linux

package server

// dropProgram does nothing: other systems do not count what is mapped from a file, or offer no way to let go of it.
func dropProgram() {}
