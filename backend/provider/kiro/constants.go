package kiro

import (
	"runtime"
	"time"
)

// Everything that Kiro's services demand of a client stands in this file, with where it is known from. Nothing here belongs to
// a person; the one thing borrowed is the name and version of Kiro's own programs in the user agent, which the services use as
// an admission gate.

// Hosts. {region} is us-east-1 or eu-central-1 for the API, any AWS region for SSO. Kiro's firewall page (read 2026-10),
// KiroCrew's kas-auth.md (2026-09), the Go SDK ssooidc v1.30.0.
const (
	defaultAuth       = "https://prod.us-east-1.auth.desktop.kiro.dev"
	defaultPortal     = "https://app.kiro.dev"
	defaultOIDC       = "https://oidc.{region}.amazonaws.com"
	defaultRuntime    = "https://runtime.{region}.kiro.dev"
	defaultQ          = "https://q.{region}.amazonaws.com"
	defaultCW         = "https://codewhisperer.us-east-1.amazonaws.com"
	defaultManagement = "https://management.{region}.kiro.dev"
)

// Regions where the API is; the profile ARN names one of them.
const (
	regionUS = "us-east-1"
	regionEU = "eu-central-1"
)

// builderARN is the profile of the service itself that Builder ID accounts use; the account id in it is Amazon's
// (lidge-jun/opencodex PR 2722, 2026-08-27). It says nothing about the account's own region and is never sent for an
// organisation's account.
const builderARN = "arn:aws:codewhisperer:us-east-1:638616132270:profile/AAAACCCCXXXX"

// builderStart is the start URL of AWS Builder ID (KiroCrew, Amazon Q CLI).
const builderStart = "https://view.awsapps.com/start"

// socialClient identifies a program at Kiro's own sign-in service; nothing else is let in (KiroCrew, kas-auth.md, 2026-09).
const socialClient = "Kiro-CLI"

// clientName is how Patchbay registers at AWS's SSO: under its own name.
const clientName = "Patchbay"

// Scopes of a registration at AWS's SSO: without them there is no refresh token (KiroCrew; CLIProxyAPI's notes, 2025-11).
var oidcScopes = []string{"codewhisperer:completions", "codewhisperer:analysis", "codewhisperer:conversations"}

// callbackPorts are the only ports of this machine that the sign-in page returns to (KiroCrew, 2026-09).
var callbackPorts = []int{3128, 4649, 6588, 8008, 9091, 49153, 50153, 51153, 52153, 53153}

// oidcRegions are asked in turn for a start URL whose region nobody knows (pi-provider-kiro, 2026-07-24).
var oidcRegions = []string{"us-east-1", "eu-west-1", "eu-central-1", "us-east-2", "eu-west-2", "eu-west-3", "eu-north-1",
	"ap-southeast-1", "ap-northeast-1", "us-west-2"}

// Versions of Kiro's IDE whose bodies the two forms follow. Older ones are refused with 403 (sub2api PR 105, 2026-08-25).
const (
	versionA = "0.12.155"
	versionB = "1.0.212"
)

// The service's programs and their SDKs, for the user agents below (AIClient-2-API 2026-05-30, opencodex 2026-08-22).
const (
	streamSDK  = "1.0.34"
	controlSDK = "1.0.0"
	nodeMark   = "22.22.0"
	cliAgent   = "aws-sdk-rust/1.3.15 ua/2.1 api/codewhispererstreaming/0.1.17975 os/{os} lang/rust/1.92.0 md/appVersion-2.14.2 m/F app/AmazonQ-For-CLI"
	cliShort   = "aws-sdk-rust/1.3.15 ua/2.1 api/codewhispererstreaming/0.1.17975 os/{os} lang/rust/1.92.0 m/F app/AmazonQ-For-CLI"
)

// Target headers and content types of the AWS-JSON encoding (Amazon Q CLI, 2026-04; KiroCrew).
const (
	typeREST       = "application/json"
	typeJSON10     = "application/x-amz-json-1.0"
	typeEvents     = "application/vnd.amazon.eventstream"
	targetGenerate = "AmazonCodeWhispererStreamingService.GenerateAssistantResponse"
	targetControl  = "AmazonCodeWhispererService."
)

// Origins in bodies, one per kind of program (the SDK's schemas).
const (
	originIDE = "AI_EDITOR"
	originCLI = "KIRO_CLI"
)

// Margins of logins (Kiro's IDE, read in mid 2026): a token is renewed ten minutes before its end, and a client registration
// counts as over fifteen minutes before its own.
const (
	refreshLead      = 10 * time.Minute
	registrationLead = 15 * time.Minute
	unknownLife      = time.Hour // of a token whose service does not say
)

// Limits of the service (Amazon Q CLI, AIClient-2-API, opencodex).
const (
	maxToolName    = 64
	maxDescription = 9216   // characters of a tool's description
	maxResult      = 400000 // characters of one tool result
	maxMessage     = 400000 // characters of one message; more is told to the log and left to the service
	maxBody        = 600000 // bytes of a body without pictures; likewise
	maxImages      = 10
	maxImageBase64 = 3_750_000
	recentMessages = 5 // pictures of older messages become notes
	maxFrame       = 16<<20 + 128<<10 + 16
	maxCall        = 4 << 20
)

// Budget of thinking tags (AIClient-2-API).
const (
	budgetMin     = 1024
	budgetMax     = 24576
	budgetDefault = 20000
)

// osMark is the operating system as the IDE's SDK names it. The release in it is a fixed one: this machine's is nobody's business.
func osMark() string {
	switch runtime.GOOS {
	case "windows":
		return "windows#10.0.22631"
	case "darwin":
		return "macos#24.6.0"
	default:
		return "linux#6.8.0"
	}
}

// osName is the same in the words of the command-line program.
func osName() string {
	switch runtime.GOOS {
	case "windows", "linux":
		return runtime.GOOS
	case "darwin":
		return "macos"
	default:
		return "linux"
	}
}
