package responses

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
	"patchbay/backend/wire/oai"
)

type wirePart struct {
	Type        string         `json:"type"`
	Text        *string        `json:"text"`
	Refusal     string         `json:"refusal"`
	ImageURL    jsontext.Value `json:"image_url"`
	Detail      string         `json:"detail"`
	FileID      string         `json:"file_id"`
	FileData    string         `json:"file_data"`
	FileURL     string         `json:"file_url"`
	FileName    string         `json:"filename"`
	VideoURL    string         `json:"video_url"`
	Annotations jsontext.Value `json:"annotations"`
	Logprobs    jsontext.Value `json:"logprobs"`
	InputAudio  *struct {
		Data   string `json:"data"`
		Format string `json:"format"`
	} `json:"input_audio"`
	Breakpoint jsontext.Value `json:"prompt_cache_breakpoint"`
}

const breakpoint = "prompt_cache_breakpoint"

// readContent reads the content of an item: a string, parts, or nothing.
func readContent(v jsontext.Value, path string) ([]canon.Part, error) {
	switch {
	case oai.IsNull(v):
		return nil, nil
	case v.Kind() == '"':
		return []canon.Part{{Type: canon.PartText, Text: oai.Text(v)}}, nil
	case v.Kind() != '[':
		return nil, apierror.Invalid(path, "%s must be a string or an array of parts", path)
	}
	var in []wirePart
	if err := wire.ReadValue(v, path, &in); err != nil {
		return nil, err
	}
	parts := make([]canon.Part, 0, len(in))
	for i := range in {
		p, err := partOf(&in[i], fmt.Sprintf("%s[%d]", path, i))
		if err != nil {
			return nil, err
		}
		if p.Type != canon.PartText || p.Text != "" { // no service takes an empty text
			parts = append(parts, p)
		}
	}
	return parts, nil
}

func partOf(w *wirePart, path string) (canon.Part, error) {
	var p canon.Part
	var err error
	if w.Breakpoint.Kind() == '{' {
		p.Cache = &canon.Cache{}
		p.Ext = map[string]jsontext.Value{breakpoint: w.Breakpoint}
	}
	switch w.Type {
	case "input_text", "output_text", "text", "summary_text", "":
		if w.Text == nil {
			return p, apierror.Invalid(path+".text", "%s.text is required", path)
		}
		p.Type, p.Text = canon.PartText, *w.Text
		if w.Annotations.Kind() == '[' && len(w.Annotations) > 2 {
			p.Citations = w.Annotations
		}
	case "refusal":
		p.Type, p.Text = canon.PartRefusal, w.Refusal
	case "input_image":
		p.Type = canon.PartImage
		p.Media, err = w.image(path)
	case "input_file":
		p.Type = canon.PartDocument
		p.Media, err = w.file(path)
	case "input_audio":
		p.Type = canon.PartAudio
		p.Media, err = w.audio(path)
	case "input_video":
		p.Type = canon.PartVideo
		if p.Media, err = mediaOf(w.VideoURL, path+".video_url"); err == nil && w.VideoURL == "" {
			err = apierror.Invalid(path+".video_url", "%s.video_url is required", path)
		}
	default:
		err = apierror.Invalid(path+".type", "%s.type %q is not supported: use input_text, input_image, input_file or input_audio", path, w.Type)
	}
	return p, err
}

// image reads input_image. Its image_url is a string here; the object of Chat is let through.
func (w *wirePart) image(path string) (*canon.Media, error) {
	if w.FileID != "" {
		return &canon.Media{FileID: w.FileID, Detail: w.Detail}, nil
	}
	url, at := "", path+".image_url"
	switch w.ImageURL.Kind() {
	case '"':
		url = oai.Text(w.ImageURL)
	case '{':
		url = oai.Text(oai.Member(w.ImageURL, "url"))
		if w.Detail == "" {
			w.Detail = oai.Text(oai.Member(w.ImageURL, "detail"))
		}
	}
	if url == "" {
		return nil, apierror.Invalid(at, "%s is required: a URL or a data: URL", at)
	}
	m, err := mediaOf(url, at)
	if err != nil {
		return nil, err
	}
	if m.URL == "" && (m.MIME == "" || len(m.Data) == 0) {
		return nil, apierror.Invalid(at, "%s holds no image that is known", at)
	}
	m.Detail = w.Detail
	return m, nil
}

// mediaOf reads a URL, or the data in it.
func mediaOf(url, path string) (*canon.Media, error) {
	if strings.HasPrefix(url, "data:") {
		mime, data, err := wire.ParseDataURL(url)
		if err != nil {
			return nil, apierror.Invalid(path, "%s: %s", path, err)
		}
		return &canon.Media{MIME: mime, Data: data}, nil
	}
	if url != "" && !strings.Contains(url, "://") {
		return nil, apierror.Invalid(path, "%s must be an http(s) or data: URL", path)
	}
	return &canon.Media{URL: url}, nil
}

func (w *wirePart) file(path string) (*canon.Media, error) {
	switch {
	case w.FileID != "":
		return &canon.Media{FileID: w.FileID, FileName: w.FileName}, nil
	case w.FileURL != "":
		m, err := mediaOf(w.FileURL, path+".file_url")
		if err == nil {
			m.FileName = w.FileName
		}
		return m, err
	case w.FileData == "":
		return nil, apierror.Invalid(path, "%s needs file_data, file_url or file_id", path)
	}
	m := &canon.Media{FileName: w.FileName, MIME: "application/pdf"}
	var err error
	if strings.HasPrefix(w.FileData, "data:") {
		var mime string
		if mime, m.Data, err = wire.ParseDataURL(w.FileData); mime != "" {
			m.MIME = mime
		}
	} else {
		m.Data, err = wire.DecodeBase64(w.FileData)
	}
	if err != nil {
		return nil, apierror.Invalid(path+".file_data", "%s.file_data holds no valid data", path)
	}
	if strings.HasPrefix(m.MIME, "text/") {
		m.Text, m.Data = string(m.Data), nil
	}
	return m, nil
}

func (w *wirePart) audio(path string) (*canon.Media, error) {
	at := path + ".input_audio.data"
	if w.InputAudio == nil || w.InputAudio.Data == "" {
		return nil, apierror.Invalid(at, "%s is required", at)
	}
	data, err := wire.DecodeBase64(w.InputAudio.Data)
	if err != nil {
		return nil, apierror.Invalid(at, "%s is not valid base64", at)
	}
	format := w.InputAudio.Format
	if format == "" {
		format = "wav"
	}
	return &canon.Media{MIME: "audio/" + format, Data: data}, nil
}
