//go:build !windows && !darwin

package transport

// readSystemProxies has nothing to read: elsewhere the environment is where a computer's proxy stands.
func readSystemProxies() osProxies { return osProxies{} }
