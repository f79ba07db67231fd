package main

import (
	"errors"
	"net/url"
)

// errNoBrowser reports that there is no browser to open here.
var errNoBrowser = errors.New("there is no browser here")

// openBrowser opens a page in the person's browser. It takes addresses of the web only, for they may come from a service,
// and does not wait for the browser.
func openBrowser(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return errNoBrowser
	}
	return startBrowser(u.String())
}
