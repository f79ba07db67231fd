package apitest

import (
	"context"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/api"
)

// RequestBodies implements api.Service.
func (s *Service) RequestBodies(_ context.Context, id string) (api.RequestBodies, error) {
	defer s.lock()()
	return api.RequestBodies{ID: id, Request: api.BodyMessage{Method: "POST", URL: "/v1/x", Body: "{}", Size: 2}, Curl: "curl", Replay: true}, s.Err
}

// ReplayRequest implements api.Service.
func (s *Service) ReplayRequest(_ context.Context, id string) (api.Replayed, error) {
	defer s.lock()()
	return api.Replayed{ID: s.next("req_"), Redacted: id == "redacted"}, s.Err
}

// PreviewDataset implements api.Service.
func (s *Service) PreviewDataset(_ context.Context, q api.DatasetQuery) (api.DatasetPreview, error) {
	defer s.lock()()
	s.LastDatasetQ = q
	return api.DatasetPreview{Kept: 2, Matched: 1, Lines: 1, Bytes: 3, Sample: []jsontext.Value{jsontext.Value("{}")}}, s.Err
}

// ExportDataset implements api.Service.
func (s *Service) ExportDataset(_ context.Context, q api.DatasetQuery, w io.Writer) error {
	defer s.lock()()
	s.LastDatasetQ = q
	if s.Err != nil {
		return s.Err
	}
	_, err := io.WriteString(w, "{}\n{}\n")
	return err
}
