package com.amazonaws.services.lambda.runtime.api.client;

import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.URL;
import java.util.Map;

/**
 * In the place of AWS's client where that is not to be had: shows that the main class is found, what it is told and that
 * it finds the function. It answers every event with what the handler makes of a bed of that number.
 */
public class AWSLambda {
    public static void main(String[] arguments) throws Exception {
        String[] handler = arguments[0].split("::");
        Object function = Class.forName(handler[0]).getDeclaredConstructor().newInstance();
        String base = "http://" + System.getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/";
        while (true) {
            HttpURLConnection next = (HttpURLConnection) new URL(base + "next").openConnection();
            String id = next.getHeaderField("Lambda-Runtime-Aws-Request-Id");
            String bed = new String(next.getInputStream().readAllBytes()).replaceAll("[^0-9]", "");
            Object said = function.getClass().getMethod(handler[1], Map.class).invoke(function, Map.of("bed", bed));
            HttpURLConnection answer = (HttpURLConnection) new URL(base + id + "/response").openConnection();
            answer.setRequestMethod("POST");
            answer.setDoOutput(true);
            try (OutputStream body = answer.getOutputStream()) {
                body.write(("\"" + said + "\"").getBytes());
            }
            answer.getInputStream().readAllBytes();
        }
    }
}
