// Requests to the server.

/**
 * The answer to a request: GET, or POST where there is a body.
 * Throws an error with the server's words if it refuses, and an AbortError once `signal` is aborted.
 */
export async function ask(path, body = null, signal = null) {
  const options = { signal };
  if (body !== null) {
    options.method = "POST";
    options.headers = { "Content-Type": "application/json" };
    options.body = JSON.stringify(body);
  }
  const response = await fetch(path, options);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.faults.join("; "));
  return answer;
}
