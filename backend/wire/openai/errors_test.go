package openai

import (
	"testing"

	"patchbay/backend/apierror"
)

func TestErrorsInsideAnAnswer(t *testing.T) {
	for body, kind := range map[string]apierror.Kind{
		`{"error":{"message":"x","code":429}}`:                               apierror.RateLimited,
		`{"error":{"message":"x","type":"rate_limit_error"}}`:                apierror.RateLimited,
		`{"type":"error","error":{"type":"overloaded_error","message":"x"}}`: apierror.Overloaded,
		`{"code":"x","message":"failed"}`:                                    apierror.Upstream5xx,
		`{"status_code":401,"code":"k","message":"failed"}`:                  apierror.AuthExpired,
		`{"base_resp":{"status_code":1002,"status_msg":"x"}}`:                apierror.RateLimited,
		`{"base_resp":{"status_code":1004,"status_msg":"x"}}`:                apierror.AuthExpired,
		`{"base_resp":{"status_code":1027,"status_msg":"x"}}`:                apierror.ContentFiltered,
		`{"base_resp":{"status_code":1039,"status_msg":"x"}}`:                apierror.ContextTooLong,
		`{"base_resp":{"status_code":2013,"status_msg":"x"}}`:                apierror.InvalidRequest,
		`{"object":"error","message":"x","code":404}`:                        apierror.ModelNotFound,
	} {
		x := &Exchange{}
		for _, in := range []string{body, "data: " + body + "\n\n"} {
			_, err := collect(x, in)
			if apierror.KindOf(err) != kind {
				t.Errorf("%s: %v, want %s", in, err, kind)
			}
		}
	}
}

func TestFailureByTheNameOfAnEvent(t *testing.T) {
	for in, kind := range map[string]apierror.Kind{
		"event: error\ndata: {\"message\":\"slow down\",\"code\":429}\n\n":                                                                 apierror.RateLimited,
		"event: response.failed\ndata: {\"response\":{\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"x\",\"status\":429}}}\n\n": apierror.RateLimited,
		"data: {\"error\":{\"code\":502,\"message\":\"x\"},\"choices\":[{\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}]}\n\n":  apierror.Upstream5xx,
		": OPENROUTER PROCESSING\n\ndata: {\"error\":{\"code\":402,\"message\":\"x\"}}\n\n":                                                apierror.NoCredit,
	} {
		if _, err := collect(&Exchange{}, in); apierror.KindOf(err) != kind {
			t.Errorf("%s: %v, want %s", in, err, kind)
		}
	}
}
