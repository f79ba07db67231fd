package api

import (
	"cmp"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// object is a JSON object of the description.
type object = map[string]any

// description returns the OpenAPI document. It is drawn from the table of calls, so it cannot lag behind.
func description() []byte {
	b, err := json.Marshal(openAPI(), json.Deterministic(true), jsontext.WithIndent(" "))
	if err != nil {
		panic("api: " + err.Error()) // a test makes it
	}
	return append(b, '\n')
}

func openAPI() object {
	schemas := object{}
	for name, t := range models() {
		schemas[name] = objectSchema(t)
	}
	paths := object{}
	for _, e := range endpoints {
		method, path, _ := strings.Cut(e.pattern, " ")
		at, ok := paths[path].(object)
		if !ok {
			at = object{}
			paths[path] = at
		}
		at[strings.ToLower(method)] = e.operation(method, path)
	}
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title": "Patchbay management API", "version": "1",
			"description": "Calls need Authorization: Bearer TOKEN, the token of a session (POST /api/ui/session). Pages of other origins are refused. " +
				"Every answer carries " + SeqHeader + ", the number of the latest hint of the feed when it was made: hints with a larger number are news.",
		},
		"security": []any{object{"bearer": []string{}}},
		"paths":    paths,
		"components": object{
			"schemas":         schemas,
			"securitySchemes": object{"bearer": object{"type": "http", "scheme": "bearer"}},
			"headers":         object{"Seq": object{"description": "number of the latest hint of the feed", "schema": object{"type": "integer"}}},
			"responses": object{"Failure": object{
				"description": "What went wrong, and which field is at fault", "content": jsonContent(ref("Failure")),
			}},
		},
	}
}

var inPath = regexp.MustCompile(`\{(\w+)\}`)

func (e endpoint) operation(method, path string) object {
	answer := object{"description": e.about, "headers": object{SeqHeader: object{"$ref": "#/components/headers/Seq"}}}
	switch {
	case e.media != "":
		answer["content"] = object{e.media: object{}}
	case e.gives != nil:
		answer["content"] = jsonContent(schemaOf(e.gives))
	}
	op := object{
		"summary": e.about, "operationId": operationID(method, path),
		"responses": object{strconv.Itoa(cmp.Or(e.status, http.StatusOK)): answer, "default": object{"$ref": "#/components/responses/Failure"}},
	}
	if e.takes != nil {
		op["requestBody"] = object{"required": true, "content": jsonContent(schemaOf(e.takes))}
	}
	var params []any
	for _, m := range inPath.FindAllStringSubmatch(path, -1) {
		params = append(params, object{"name": m[1], "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for _, p := range e.query {
		s := object{"type": p.kind}
		if p.kind == "time" {
			s = object{"type": "string", "format": "date-time"}
		}
		o := object{"name": p.name, "in": "query", "schema": s}
		if p.about != "" {
			o["description"] = p.about
		}
		params = append(params, o)
	}
	if params != nil {
		op["parameters"] = params
	}
	if e.open {
		op["security"] = []any{}
	}
	return op
}

// operationID names a call: "postAccountsByIdClear".
func operationID(method, path string) string {
	var b strings.Builder
	b.WriteString(strings.ToLower(method))
	for word := range strings.FieldsFuncSeq(strings.TrimPrefix(path, "/api/"), func(r rune) bool { return strings.ContainsRune("/-.", r) }) {
		if name, ok := strings.CutPrefix(word, "{"); ok {
			word = strings.TrimSuffix(name, "}")
			b.WriteString("By")
		}
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

func jsonContent(schema object) object {
	return object{"application/json": object{"schema": schema}}
}

func ref(name string) object { return object{"$ref": "#/components/schemas/" + name} }

func schemaOf(t reflect.Type) object {
	if isAny(t) {
		return object{}
	}
	if kind, format, ok := scalar(t); ok {
		s := object{"type": kind}
		switch format {
		case "":
		case "base64":
			s["contentEncoding"] = format
		default:
			s["format"] = format
		}
		return s
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.Slice, reflect.Array:
		return object{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	}
	if name := nameOf(t); name != "" {
		return ref(name)
	}
	return objectSchema(t)
}

func objectSchema(t reflect.Type) object {
	members, required := object{}, []string{}
	for _, f := range fieldsOf(t) {
		s := schemaOf(f.typ)
		if f.oneOf != nil {
			s["enum"] = f.oneOf
		}
		if f.nullable {
			s = object{"anyOf": []any{s, object{"type": "null"}}}
		}
		members[f.name] = s
		if !f.optional {
			required = append(required, f.name)
		}
	}
	out := object{"type": "object", "properties": members, "additionalProperties": false}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

func serveDescription(h *handler, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(h.description()) // the caller may be gone
}

// modelNames are the names of all structs, sorted.
func modelNames(all map[string]reflect.Type) []string { return slices.Sorted(maps.Keys(all)) }
