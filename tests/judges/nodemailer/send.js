// Sends what is described as JSON on stdin: {"transport": {...}, "mails": [{...}]}; prints what nodemailer was told.
"use strict";
const nodemailer = require("nodemailer");

async function main() {
  let text = "";
  for await (const piece of process.stdin) text += piece;
  const { transport, mails } = JSON.parse(text);
  const mailer = nodemailer.createTransport(transport);
  try {
    await mailer.verify();
    for (const mail of mails) {
      const { accepted, rejected, response, envelope } = await mailer.sendMail(mail);
      console.log(JSON.stringify({ accepted, rejected, response, envelope }));
    }
  } catch (error) {
    console.log(JSON.stringify({ error: error.code, code: error.responseCode, response: error.response }));
    process.exitCode = 1;
  } finally {
    mailer.close();
  }
}

main();
