// Requests to the services, and what goes wrong with them as a sentence for people (RFC 9457 problem details).

const TIMEOUT_MS = 15_000;

const SENTENCES = {
  403: "You are not allowed to do that.",
  404: "That is gone: somebody has deleted it meanwhile.",
  408: "The service got tired of waiting. Please try again.",
  413: "That is too much for the service.",
  429: "That was a bit too often. Please wait {wait} and try again.",
  500: "Something broke on our side. It has been noted; please try again.",
  502: "The service can't be reached right now. Please try again in {wait}.",
  503: "The service is busy with itself. Please try again in {wait}.",
  504: "The service took too long. Please try again in {wait}.",
};

/** An answer that is no success, or none at all (status 0). `message` is a sentence; `fields` maps names to texts. */
export class Problem extends Error {
  constructor(status, details = {}, waitS = 0) {
    super(sentenceFor(status, details, waitS));
    this.status = status;
    this.requestId = details.request_id ?? "";
    this.waitS = waitS;
    this.fields = fieldsOf(details.errors);
  }
}

function sentenceFor(status, details, waitS) {
  if (status === 0) {
    return navigator.onLine ? "The service can't be reached right now." : "You are offline.";
  }
  const known = SENTENCES[status]?.replace("{wait}", waitS > 1 ? `${waitS} seconds` : "a moment");
  const given = details.detail ?? details.title ?? "";
  const sentence = known ?? (given || `The service answered ${status}.`);
  return /[.!?]$/.test(sentence) ? sentence : `${sentence}.`;
}

/** {"price": "Expected `int` >= 0"} from [{"location": "body.price.amount", "message": …}]. */
function fieldsOf(errors) {
  const fields = new Map();
  for (const { location = "", message = "" } of Array.isArray(errors) ? errors : []) {
    fields.set(location.split(".")[1] ?? "", message);
  }
  return fields;
}

/** Fetch JSON; gives the value and the response. Throws Problem for everything that is no success. */
export async function request(url, { method = "GET", body, headers = {} } = {}) {
  const fields = body === undefined ? headers : { "Content-Type": "application/json", ...headers };
  let response;
  let text;
  try {
    response = await fetch(url, {
      method,
      headers: fields,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "omit",
      cache: "no-store",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    text = await response.text();
  } catch {
    throw new Problem(0);
  }
  const value = parse(text);
  if (!response.ok) {
    throw new Problem(response.status, value ?? {}, Number(response.headers.get("Retry-After")) || 0);
  }
  return { value, response };
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
