package api

import (
	"net/http"
)

var statusEndpoints = []endpoint{
	{pattern: "GET /api/status", call: getStatus, gives: of[Status](), about: "How the program is"},
	{pattern: "GET /api/doctor", call: getDoctor, gives: of[items[Finding]](), about: "What is wrong, and how to mend it"},
	{pattern: "GET /api/openapi.json", raw: serveDescription, media: "application/json", about: "This description"},
}

func getStatus(svc Service, r *http.Request) (any, error) { return svc.Status(r.Context()) }

func getDoctor(svc Service, r *http.Request) (any, error) { return list(svc.Doctor(r.Context())) }
