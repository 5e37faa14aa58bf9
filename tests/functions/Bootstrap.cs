using System;
using System.IO;
using System.Net;

/// <summary>A runtime in C#: one event after another from the Runtime API.</summary>
public static class Bootstrap
{
    public static void Main()
    {
        string at = "http://" + Environment.GetEnvironmentVariable("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/";
        while (true)
        {
            var next = WebRequest.Create(at + "next");
            string id, told;
            using (var given = next.GetResponse())
            using (var reader = new StreamReader(given.GetResponseStream()))
            {
                id = given.Headers["Lambda-Runtime-Aws-Request-Id"];
                told = reader.ReadToEnd();
            }
            var answer = WebRequest.Create(at + id + "/response");
            answer.Method = "POST";
            using (var writer = new StreamWriter(answer.GetRequestStream())) writer.Write("{\"csharp\": " + told + "}");
            using (answer.GetResponse()) { }
        }
    }
}
