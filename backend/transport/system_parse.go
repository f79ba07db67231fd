package transport

import (
	"net"
	"strings"
)

// The two forms in which operating systems tell their proxies. They are parsed on every system, so that tests reach them.

// windowsProxies reads the values below Internet Settings of the registry: server is "host:port" for all, or a list like
// "http=host:port;https=host:port;socks=host:port"; override is a list of hosts, in which <local> means names without a dot.
func windowsProxies(enabled bool, server, override string) osProxies {
	var p osProxies
	if !enabled {
		return p
	}
	for entry := range strings.FieldsFuncSeq(server, func(r rune) bool { return r == ';' || r == ' ' }) {
		kind, address, listed := strings.Cut(entry, "=")
		switch {
		case !listed:
			p.http = osProxyURL("http", entry)
			p.https = p.http
		case strings.EqualFold(kind, "http"):
			p.http = osProxyURL("http", address)
		case strings.EqualFold(kind, "https"):
			p.https = osProxyURL("http", address) // the proxy itself is spoken to in the clear
		case strings.EqualFold(kind, "socks"):
			p.socks = osProxyURL("socks5", address)
		}
	}
	for host := range strings.FieldsFuncSeq(override, func(r rune) bool { return r == ';' || r == ' ' || r == ',' }) {
		if strings.EqualFold(host, "<local>") {
			p.pastPlain = true
			continue
		}
		p.past = append(p.past, host)
	}
	return p
}

// scutilProxies reads what `scutil --proxy` prints on macOS: a dictionary with a line per value, and the list of exceptions
// inside it.
func scutilProxies(text string) osProxies {
	values := map[string]string{}
	var p osProxies
	inList := false
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(line, " : ")
		if !ok {
			if strings.TrimSpace(line) == "}" {
				inList = false
			}
			continue
		}
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		switch {
		case strings.HasPrefix(value, "<"):
			inList = key == "ExceptionsList"
		case inList:
			p.past = append(p.past, value)
		default:
			values[key] = value
		}
	}
	on := func(name, scheme string) string {
		if values[name+"Enable"] != "1" || values[name+"Proxy"] == "" {
			return ""
		}
		host, port := values[name+"Proxy"], values[name+"Port"]
		if port == "" || port == "0" {
			port = map[string]string{"http": "80", "socks5": "1080"}[scheme]
		}
		return net.JoinHostPort(strings.Trim(host, "[]"), port)
	}
	p.http, p.https = osProxyURL("http", on("HTTP", "http")), osProxyURL("http", on("HTTPS", "http"))
	p.socks = osProxyURL("socks5", on("SOCKS", "socks5"))
	p.pastPlain = values["ExcludeSimpleHostnames"] == "1"
	return p
}
