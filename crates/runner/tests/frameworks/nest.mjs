// NestJS without a compiler: decorators are functions.
import 'reflect-metadata';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';

class RootController {
  answer() {
    return 'nest';
  }
}
Get()(RootController.prototype, 'answer', Object.getOwnPropertyDescriptor(RootController.prototype, 'answer'));
Controller()(RootController);
class RootModule {}
Module({ controllers: [RootController] })(RootModule);

const app = await NestFactory.create(RootModule, { logger: false });
app.enableShutdownHooks();
await app.listen(Number(process.env.PORT));
