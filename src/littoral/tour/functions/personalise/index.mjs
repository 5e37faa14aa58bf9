// viewer-request at the edge: a nurse's cookie opens the page of her own bed; everybody else gets the ward page.
// Changing the uri before the cache lookup gives each page its own cache entry, and the cookie never reaches the origin.
export const handler = async (event) => {
  const request = event.Records[0].cf.request;
  const cookies = (request.headers.cookie ?? []).map(({ value }) => value).join("; ");
  const bed = /(?:^|;\s*)bed=([a-z0-9]{1,16})(?:;|$)/.exec(cookies)?.[1];
  if (request.uri === "/") {
    request.uri = bed ? `/beds/${bed}.html` : "/index.html";
  }
  delete request.headers.cookie;
  return request;
};
