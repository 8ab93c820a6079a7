using System;
using System.IO;
using System.Net;
using System.Runtime.CompilerServices;

/// <summary>Answers 200 when Receiver.IsOurs accepts a request, and 401 when it does not.</summary>
static class Server
{
    static void Main()
    {
        RuntimeHelpers.RunClassConstructor(typeof(Receiver).TypeHandle); // which needs the secret
        var listener = new HttpListener();
        listener.Prefixes.Add("http://127.0.0.1:" + Environment.GetEnvironmentVariable("PORT") + "/");
        listener.Start();
        while (true) Answer(listener.GetContext());
    }

    static void Answer(HttpListenerContext context)
    {
        var body = new MemoryStream();
        context.Request.InputStream.CopyTo(body);
        try
        {
            var isOurs = Receiver.IsOurs(body.ToArray(), name => context.Request.Headers[name]);
            context.Response.StatusCode = isOurs ? 200 : 401;
        }
        catch (Exception)
        {
            context.Response.StatusCode = 500;
        }
        context.Response.Close();
    }
}
